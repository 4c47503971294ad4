"""The short import of transformers: what it leaves out, that models still work, and the way back."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.pty_app import ROOT

LOADED = """
import sys, threading
import engine.workers.lean
import engine.workers.backend
import torch
from engine.models.discover import demo_path
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained(demo_path())
out = model.generate(torch.tensor([[5, 6, 7]]), max_new_tokens=3, do_sample=False)
assert out.shape == (1, 6)
heavy = ("torch._dynamo", "torch.distributed.tensor", "peft", "bitsandbytes", "trl", "datasets")
print(*(name for name in heavy if name in sys.modules))
import torch._dynamo
assert torch._dynamo.config and torch.compiler.disable is not engine.workers.lean._undecorated
"""
UNKNOWN = """
import logging, sys
logging.basicConfig()
import torch._compile
del torch._compile._disable_dynamo
torch._compile._disable_dynamo = lambda fn: object()
import engine.workers.lean
import transformers.modeling_utils, transformers.masking_utils
print(transformers.masking_utils.__name__)
"""


def _python(code: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )


def test_a_model_loads_and_writes_without_compiler_and_peft_which_stay_at_hand() -> None:
    done = _python(LOADED)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_a_torch_with_other_insides_is_imported_whole() -> None:
    done = _python(UNKNOWN)
    assert (done.returncode, done.stdout.strip()) == (0, "transformers.masking_utils"), done.stderr
    assert "Importing transformers whole" in done.stderr
