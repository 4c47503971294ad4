"""Full fine-tuning: weights of its own that all learn, and the model's folder they are written to."""

from __future__ import annotations

import copy
import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.files import sync_folder, write_atomic
from engine.models.adapters import NOTE
from engine.protocol.training import TrainSpec
from engine.workers.device import DTYPES
from engine.workers.export.merge import COPIED
from engine.workers.training.dropout import without_own_dropout
from engine.workers.training.targets import language_parameters


def own_copy(pristine: nn.Module, spec: TrainSpec) -> Any:
    """A model whose language part has weights of its own that learn; tied ones stay tied.

    They are float32 where the spec names no dtype: steps of fine-tuning are lost in the rounding of 16 bits.
    """
    learning = language_parameters(pristine)
    dtype = DTYPES[spec.dtype or "float32"]
    memo: dict[int, Any] = {id(parameter): parameter for parameter in pristine.parameters()}
    memo |= {id(old): nn.Parameter(old.detach().to(dtype, copy=True)) for old in learning}
    model: Any = copy.deepcopy(pristine, memo)
    without_own_dropout(model)
    model.config.dtype = dtype
    model.config.get_text_config(decoder=True).dtype = dtype
    return model


def learning(model: nn.Module) -> dict[str, Tensor]:
    """What learns, by name; a tied weight once."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def save_whole(model: Any, source: Path, folder: Path, note: dict[str, Any], card: str) -> None:
    """Write a folder that transformers loads: config, safetensors, tokenizer, template. Raises OSError.

    It takes its place by a rename; the one before it is there until then.
    """
    part, old = (folder.with_name(f".{folder.name}.{word}-{os.getpid()}") for word in ("part", "old"))
    for each in (part, old):
        shutil.rmtree(each, ignore_errors=True)
    part.mkdir(mode=0o700, parents=True)
    try:
        with torch.no_grad():
            model.save_pretrained(part)
        _copy_small(source, part)
        write_atomic(part / NOTE, json.dumps(note, indent=2).encode())
        write_atomic(part / "README.md", card.encode())
        for file in part.iterdir():
            with file.open("rb") as written:
                os.fsync(written.fileno())
        sync_folder(part)
        if folder.exists():
            os.rename(folder, old)
        os.rename(part, folder)
        sync_folder(folder.parent)
    except BaseException:
        if old.exists() and not folder.exists():
            os.rename(old, folder)
        shutil.rmtree(part, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _copy_small(source: Path, part: Path) -> None:
    for name in COPIED:
        if (source / name).is_file() and not (part / name).exists():
            shutil.copyfile(source / name, part / name)
