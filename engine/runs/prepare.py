"""What a spec must pass before it becomes a run: its numbers, its data, its base."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

from msgspec.structs import replace

from engine import VERSION
from engine.data.read import file_hash, unreadable
from engine.data.shipped import PREFIX
from engine.data.spec_file import filled
from engine.protocol.errors import fault
from engine.protocol.runs import TrainSpec
from engine.protocol.specs import ModelInfo
from engine.protocol.training import Objective

NAME_LIMIT = 60
"""Characters of a run's name at most."""
PACKAGES = ("torch", "transformers", "peft")


def data_hash(path: Path) -> str:
    """SHA-256 of a dataset; raises EngineError `data_unreadable`."""
    try:
        return file_hash(path)
    except OSError as error:
        raise unreadable(path, error) from error


_ELSEWHERE = {
    "server": "Its weights are with a server",
    "llama.cpp": "llama.cpp computes it",
    "onnx": "ONNX Runtime computes it",
}


def trainable(model: ModelInfo, objective: Objective = "chat") -> ModelInfo:
    """The model itself; raises EngineError `model_unsupported`, `not_trainable`, `no_chat_template`."""
    if model.support == "unsupported":
        raise fault("model_unsupported", f"{model.name} cannot be trained", model.why)
    if model.runs_on != "torch":
        raise fault(
            "not_trainable",
            f"{model.name} cannot be trained here",
            _ELSEWHERE[model.runs_on],
            "Choose the same model as a folder with safetensors files",
        )
    if not model.chat and objective != "text":
        raise fault(
            "no_chat_template",
            f"{model.name} has no chat template, so it is unknown how a chat should be written for it",
            "It is a base model, which continues text",
            'Choose the instruct version of it, or let it learn plain text (objective = "text")',
        )
    return model


def settled(spec: TrainSpec, model: ModelInfo, path: Path, held: Path | None = None) -> TrainSpec:
    """The spec as it is stored, nothing left open: the model's id, whole paths, a name, alpha, rate.

    `path`: of its data; `held`: of its evaluation data, where it names some.
    """
    data = spec.data if spec.data.startswith(PREFIX) else str(path)
    tested = spec.eval_data if held is None or spec.eval_data.startswith(PREFIX) else str(held)
    name = " ".join(spec.name.split())[:NAME_LIMIT]
    return filled(replace(spec, model=model.id, data=data, eval_data=tested, name=name), model)


def versions() -> dict[str, str]:
    """Of the packages that decide how a run goes, and of Qwill; nothing is imported for it."""
    found = {"qwill": VERSION}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found | {"machine": machine()}


def machine() -> str:
    """What rounding depends on beside versions, e.g. `x86_64, AVX512, 2 threads`."""
    threads = os.environ.get("OMP_NUM_THREADS") or os.cpu_count()
    return f"{platform.machine()}, {_instructions()}, {threads} threads"


def _instructions() -> str:
    """The widest vectors of this CPU, as far as the system tells."""
    try:
        flags = Path("/proc/cpuinfo").read_text().partition("\nflags")[2].partition("\n")[0].split()
    except OSError:
        return platform.system()
    known = {"avx512f": "AVX512", "avx2": "AVX2", "avx": "AVX"}
    return next((name for flag, name in known.items() if flag in flags), "plain")
