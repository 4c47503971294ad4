"""What a spec must pass before it becomes a run: its numbers, its data, its base."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from msgspec.structs import replace

from engine import VERSION
from engine.data.read import file_hash, unreadable
from engine.data.shipped import PREFIX, shipped_path
from engine.data.spec_file import filled
from engine.protocol.errors import fault
from engine.protocol.runs import TrainSpec
from engine.protocol.specs import ModelInfo

NAME_LIMIT = 60
"""Characters of a run's name at most."""
PACKAGES = ("torch", "transformers", "peft")


def data_path(data: str) -> Path:
    """The file of a dataset; raises EngineError `dataset_unknown`, `data_relative` or `data_unreadable`.

    Only regular files pass: a pipe would hold up whoever opens it.
    """
    if data.startswith(PREFIX):
        return shipped_path(data)
    if not data.strip():
        raise fault("data_missing", "No dataset is chosen", remedy="Give a JSONL file, or shipped:pirate")
    path = Path(data)
    try:
        path = path.expanduser()
        found = path.is_file()
        missing = not path.exists()
    except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL byte, ~ of nobody we know
        raise fault("data_unreadable", f"{data[:200]!r} is no path of a file", str(error)) from error
    if not path.is_absolute():
        raise fault(
            "data_relative",
            f"{data} could lie in any folder, because the engine has no folder of its own",
            remedy="Give the whole path, from / or ~ on",
        )
    if missing:
        raise unreadable(path, FileNotFoundError(2, "There is no such file"))
    if not found:
        raise unreadable(path, OSError(21, "It is a folder or a device, not a file"))
    return path


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


def trainable(model: ModelInfo) -> ModelInfo:
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
    if not model.chat:
        raise fault(
            "no_chat_template",
            f"{model.name} has no chat template, so it is unknown how a chat should be written for it",
            "It is a base model, which continues text",
            "Choose the instruct version of it",
        )
    return model


def settled(spec: TrainSpec, model: ModelInfo, path: Path) -> TrainSpec:
    """The spec as it is stored, nothing left open: the model's id, a whole path, a name, alpha, rate."""
    data = spec.data if spec.data.startswith(PREFIX) else str(path)
    name = " ".join(spec.name.split())[:NAME_LIMIT]
    return filled(replace(spec, model=model.id, data=data, name=name), model)


def versions() -> dict[str, str]:
    """Of the packages that decide how a run goes, and of Qwill; nothing is imported for it."""
    found = {"qwill": VERSION}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
