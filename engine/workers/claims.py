"""Compares what a config.json claims with what the headers of the weights hold, before anything is read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.initialization import no_init_weights

from engine.models.headers import tensor_shapes
from engine.protocol.errors import EngineError, fault
from engine.workers.outline import Outline

MOST_LAYERS = 2048
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks|block|layer)\.(\d+)\.")
_SLACK = 1.1
"""A model may have so many times the parameters of its files: norms of ones, or tied weights left out."""


def check_layers(folder: Path, name: str, config: PretrainedConfig) -> dict[str, tuple[int, ...]]:
    """The shapes of the files' tensors. Raises EngineError `model_broken` for more layers than they hold."""
    shapes = tensor_shapes(folder)
    text = config.get_text_config(decoder=True)
    claimed = getattr(text, "num_hidden_layers", 0) or 0
    numbers = [int(match[1]) for match in map(_LAYER.search, shapes) if match]
    held = max(numbers) + 1 if numbers else MOST_LAYERS
    if isinstance(claimed, int) and claimed > held:
        raise _lie(name, f"Its config.json tells of {claimed:,} layers, and its weights have {held:,}")
    return shapes


def check_shapes(
    name: str, config: PretrainedConfig, kind: Any, shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Raise EngineError `model_broken` where the model that the config describes is not that of the files.

    The model is built without memory (torch's meta device), which takes some tens of milliseconds.
    """
    with Outline(), torch.device("meta"), no_init_weights():
        model: PreTrainedModel = kind.from_config(config)
        model.tie_weights()
    for key, tensor in model.state_dict().items():
        if key in shapes and shapes[key] != tuple(tensor.shape):
            raise _lie(
                name,
                f"By its config.json {key} is {_by(tuple(tensor.shape))}, in its weights {_by(shapes[key])}",
            )
    claimed = sum(parameter.numel() for parameter in model.parameters())
    held = sum(torch.Size(shape).numel() for shape in shapes.values())
    if claimed > _SLACK * held + 1e6:
        raise _lie(name, f"Its config.json tells of {claimed:,} parameters, and its weights hold {held:,}")


def check_vocabulary(name: str, tokens: int, rows: int) -> None:
    """Raise EngineError `vocabulary_mismatch` for a tokenizer with more words than the model has rows.

    `tokens`: without those that were added to it later, of which some models never use the last ones.
    """
    if tokens > rows:
        raise fault(
            "vocabulary_mismatch",
            f"{name} cannot be loaded",
            f"Its tokenizer knows {tokens:,} tokens and its weights {rows:,}: they do not belong together",
            "Download the model again, tokenizer and all",
        )


def check_ids(name: str, ids: Sequence[int], embedding: nn.Module) -> None:
    """Raise EngineError `vocabulary_mismatch` for a token that the weights have no row for."""
    rows = getattr(embedding, "num_embeddings", 0)
    worst = max(ids, default=0)
    if rows and worst >= rows:
        raise fault(
            "vocabulary_mismatch",
            f"The message holds a token that {name} does not know",
            f"Its tokenizer made number {worst:,} of it, and its weights end at {rows - 1:,}",
            "Leave out special tokens, or download the model again",
        )


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{size:,}" for size in shape) or "a number"


def _lie(name: str, detail: str) -> EngineError:
    return fault("model_broken", f"{name} cannot be loaded", detail, "Download the model again")
