"""What a run needs of a loaded model."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from engine.protocol.errors import fault
from engine.protocol.specs import ModelInfo
from engine.workers.loaded import LoadedModel
from engine.workers.training.labels import Labeller
from engine.workers.vocabulary import Vocabulary


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
