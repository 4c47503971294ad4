"""Converts a mapped model to another dtype, a piece at a time: never both are whole in memory."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import PreTrainedModel

from engine.models.headers import Broken, read_weights
from engine.workers.device import DTYPES
from engine.workers.pages import SourcePages

PIECE = 4 << 20
"""Values of the files that are converted at once, in bytes."""


def stored_dtype(folder: Path, dtype: torch.dtype) -> torch.dtype:
    """The dtype of the files, or `dtype` where it is none that a model can compute in."""
    try:
        return DTYPES.get(read_weights(folder).dtype, dtype)
    except (Broken, OSError):
        return dtype


def convert(
    model: PreTrainedModel, dtype: torch.dtype, pages: SourcePages, step: Callable[[float, str], None]
) -> None:
    """Every floating point parameter, but those that transformers keeps in float32 whatever the dtype.

    `step` hears of the share done, and may raise to end it.
    """
    whole = kept_whole(model)
    parameters = [
        parameter
        for name, parameter in model.named_parameters()
        if parameter.is_floating_point() and parameter.dtype != dtype and not (whole and whole.search(name))
    ]
    total = sum(parameter.nbytes for parameter in parameters) or 1
    done = 0
    read = 0
    for parameter in parameters:
        step(done / total, "converting the weights")
        done, read = done + parameter.nbytes, read + parameter.nbytes
        parameter.data = _converted(parameter.data, dtype, pages)
        if read >= PIECE:
            pages.drop()
            read = 0
    pages.drop()
    model.config.dtype = dtype
    model.config.get_text_config(decoder=True).dtype = dtype


def kept_whole(model: PreTrainedModel) -> re.Pattern[str] | None:
    """Matches the parameters that transformers keeps in float32; None where there are none."""
    names = {
        *(getattr(model, "_keep_in_fp32_modules", None) or ()),
        *(getattr(model, "_keep_in_fp32_modules_strict", None) or ()),
    }
    return re.compile("|".join(rf"(?:^|\.){re.escape(name)}(?:\.|$)" for name in names)) if names else None


def _converted(source: torch.Tensor, dtype: torch.dtype, pages: SourcePages) -> torch.Tensor:
    made = torch.empty(source.shape, dtype=dtype)
    flat, target = source.reshape(-1), made.view(-1)
    length = PIECE // source.element_size()
    for start in range(0, len(flat), length):
        target[start : start + length] = flat[start : start + length]
        if len(flat) > length:
            pages.drop()
    return made
