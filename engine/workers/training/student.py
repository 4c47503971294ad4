"""The model that learns: an adapter on a skeleton of the shared weights."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.protocol.training import TrainSpec
from engine.workers.training.adapter import save_adapter, with_lora
from engine.workers.training.base import Base


class Student:
    """What a run's loop needs of the model, whatever the method."""

    def __init__(self, base: Base, spec: TrainSpec) -> None:
        """Puts a fresh adapter on a skeleton of the base; raises EngineError `no_targets`."""
        self._model: Any = with_lora(base.pristine, spec, base.reference)
        self._spec = spec
        self.device: torch.device = base.device

    @property
    def network(self) -> nn.Module:
        """The causal language model of transformers with the adapter inside it, for the loss."""
        return self._model.get_base_model()  # type: ignore[no-any-return]

    def weights(self) -> dict[str, Tensor]:
        """What learns, by name, always in the same order."""
        return {name: p for name, p in self._model.named_parameters() if p.requires_grad}

    def groups(self) -> list[dict[str, Any]]:
        """Parameter groups for the optimiser; each has `share`, which its rate is multiplied by."""
        return [{"params": list(self.weights().values()), "share": 1.0}]

    def learn(self) -> None:
        """Dropout on."""
        self._model.train()

    def answer(self) -> None:
        """Dropout off."""
        self._model.eval()

    @contextlib.contextmanager
    def reference(self) -> Iterator[None]:
        """Inside, the network computes as the base did before the run (for preferences)."""
        with self._model.disable_adapter():
            yield

    def save(self, folder: Path, note: dict[str, Any], card: str) -> None:
        """Write the result: a PEFT folder. Each file is the old or the new one. Raises OSError."""
        save_adapter(self._model, folder, note, card)
