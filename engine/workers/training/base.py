"""What a run needs of a loaded model."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import psutil
import torch
from msgspec.structs import replace
from transformers import PreTrainedModel

from engine.backend import LoadSpec
from engine.protocol.errors import fault
from engine.protocol.specs import ModelInfo
from engine.workers.device import pick_device, pick_dtype
from engine.workers.loaded import LoadedModel, load
from engine.workers.training.labels import Labeller
from engine.workers.vocabulary import Vocabulary

HEADROOM = 512 << 20
"""Bytes left free beside a run's own weights, for its activations and the rest of the machine."""


@dataclass(frozen=True)
class Base:
    """The pristine skeleton, which owns the weights and is never wrapped, with its vocabulary."""

    pristine: PreTrainedModel
    labeller: Labeller
    reference: str
    """How an adapter names it: the hub id, or the folder."""

    @classmethod
    def of(cls, loaded: LoadedModel) -> Base:
        """Raises EngineError `no_template` for a model that cannot hold a chat."""
        info = loaded.info
        return cls(loaded.model, labeller(loaded.vocabulary, info), reference(info))

    @property
    def device(self) -> torch.device:
        return self.pristine.device


def own_base(packed: ModelInfo, cancelled: threading.Event) -> LoadedModel:
    """Whole weights for one run beside the packed ones that the chat keeps, which have no gradients.

    Raises EngineError `run_too_large` when both do not fit, and all that fails a load.
    """
    asked = replace(packed, state="available", memory=0, quant="", load_dtype="", note="")
    need = packed.parameters * pick_dtype("", pick_device()).itemsize + HEADROOM
    free = psutil.virtual_memory().available
    if pick_device().type == "cpu" and need > free:
        raise fault(
            "run_too_large",
            f"{packed.name} is loaded as {packed.quant}, and a run needs its whole weights beside it",
            f"They take {need / (1 << 30):.1f} GiB, and {free / (1 << 30):.1f} GiB are free",
            "Load the model with --quant none, or close other programs",
        )
    return load(LoadSpec(asked), 0, lambda _fraction, _phase: None, cancelled)


def labeller(vocabulary: Vocabulary, info: ModelInfo) -> Labeller:
    """Raises EngineError `no_template` for a model that cannot hold a chat."""
    if vocabulary.template is None:
        raise fault(
            "no_template",
            f"{info.name} has no chat template, so chats cannot be rendered for it",
            remedy="Choose a chat model as the base",
        )
    return Labeller(vocabulary.tokenizer, vocabulary.template, vocabulary.stops)


def reference(info: ModelInfo) -> str:
    """What PEFT's base_model_name_or_path says."""
    return info.id if info.source == "hub" else info.path
