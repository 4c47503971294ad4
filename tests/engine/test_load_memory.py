"""What a load takes at most: the peak of anonymous memory and of file pages, with its first forward."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.tiny import tiny_model


def _peak_is_told() -> bool:
    """Whether this system begins a process's memory peak anew when asked to; some containers do not."""
    status = Path("/proc/self/status")

    def highest() -> int:
        lines = status.read_text("ascii", "replace").splitlines()
        return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)

    block = bytearray(os.urandom(1)) * (64 << 20)
    try:
        before = highest()
        del block
        Path("/proc/self/clear_refs").write_text("5")
        return before - highest() > 32 << 10
    except OSError:
        return False


pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not _peak_is_told(), reason="this system does not tell the peak of a process"),
]
MOST = 1.1
"""Times the model's own bytes."""
PROBES = 48 << 20
"""Bytes that choosing the faster kernel of packed layers takes, of however large a model."""
CASES = (
    ("float32", "float32", ""),
    ("bfloat16", "float32", ""),
    ("float32", "bfloat16", ""),
    ("bfloat16", "bfloat16", "int8"),
)
CHILD = """
import json, sys, threading
from pathlib import Path
import torch
from engine.backend import LoadSpec
from engine.models.describe import describe
from engine.workers.backend import create
from engine.workers.growth import Peak

root, cases = Path(sys.argv[1]), json.loads(sys.argv[2])
backend = create()

def load(name, dtype, quant):
    spec = LoadSpec(describe(root / name, "it", "It", "folder"), dtype, quant)
    ready = backend.load(spec, lambda *_: None, threading.Event())
    with torch.inference_mode():
        backend._models["it"].model(torch.tensor([[1, 2, 3]]))
    return ready

found = []
for name, dtype, quant in cases:
    load("tiny", dtype, quant)  # what libraries and threads hold for good is not the model's
    backend.unload("it")
    peak = Peak(torch.device("cpu"))
    ready = load(name, dtype, quant)
    found.append([peak.bytes(), ready.memory])
    backend.unload("it")
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str, str], tuple[int, int]]:
    """(Bytes at most, bytes of the loaded model) of each case, in a process of its own."""
    root = tmp_path_factory.mktemp("large")
    tiny_model(root / "tiny")
    sizes = {"hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 2, "head_dim": 64}
    tiny_model(root / "float32", num_attention_heads=16, num_key_value_heads=8, spread=0.02, **sizes)
    shutil.copytree(root / "float32", root / "bfloat16")
    file = root / "bfloat16" / "model.safetensors"
    save_file({name: tensor.bfloat16() for name, tensor in load_file(file).items()}, file, {"format": "pt"})
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(root), json.dumps(CASES)],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(zip(CASES, json.loads(done.stdout.splitlines()[-1]), strict=True))


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_a_load_never_holds_the_model_twice(
    measured: dict[tuple[str, str, str], tuple[int, int]], case: tuple[str, str, str]
) -> None:
    peak, memory = measured[case]
    assert memory > (22 << 20)
    assert peak <= MOST * memory + (PROBES if case[2] else 0), f"{peak / memory:.2f} times the model"


def test_the_peak_counts_what_was_given_back() -> None:
    from engine.workers.growth import Peak

    peak = Peak(torch.device("cpu"))
    torch.ones(16 << 20).sum()  # more than the allocator keeps for itself
    assert peak.bytes() >= 60 << 20
