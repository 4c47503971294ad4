"""The model that learns: an adapter on a skeleton of the shared weights, or weights of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.data.methods import MUTATING
from engine.protocol.errors import EngineError, fault
from engine.protocol.training import TrainSpec
from engine.workers.training import eva
from engine.workers.training.adapter import save_adapter, start_adapter, with_lora
from engine.workers.training.base import Base
from engine.workers.training.dropout import Moment
from engine.workers.training.initialise import Start
from engine.workers.training.whole import own_copy, save_whole


def result_folder(spec: TrainSpec) -> str:
    """Name of the folder in a run's that its result is written to."""
    return "model" if spec.method == "full" else "adapter"


class Student:
    """What a run's loop needs of the model, whatever the method."""

    def __init__(self, base: Base, spec: TrainSpec) -> None:
        """Puts a fresh adapter on a skeleton of the base, or clones its weights.

        Raises EngineError `no_targets`, `spec_wrong`, `method_unsupported`.
        """
        self._spec = spec
        self._base = base
        self._moment = Moment(spec.seed)
        self._starts: dict[str, Start] = {}
        self._model: Any
        if spec.method == "full":
            self._model = own_copy(base.pristine, spec)
        else:
            self._model = with_lora(base.pristine, spec, base.reference, self._moment)
            self._starts = start_adapter(self._model, spec, base.starts)
        self._apart = False
        self.device: torch.device = base.device

    @property
    def network(self) -> nn.Module:
        """The causal language model of transformers with the adapter inside it, for the loss."""
        if self._apart:
            return self._base.pristine
        whole = self._spec.method == "full"
        return self._model if whole else self._model.get_base_model()  # type: ignore[no-any-return]

    def weights(self) -> dict[str, Tensor]:
        """What learns, by name, always in the same order."""
        return {name: p for name, p in self._model.named_parameters() if p.requires_grad}

    def groups(self) -> list[dict[str, Any]]:
        """Parameter groups for the optimiser; each has `share`, which its rate is multiplied by.

        LoRA+ (arXiv 2402.12354): B learns `loraplus` times as fast as the rest.
        """
        weights = self.weights()
        ratio = self._spec.loraplus or 1.0
        faster = [p for name, p in weights.items() if ".lora_B." in name or ".lora_embedding_B." in name]
        if ratio == 1.0 or not faster:
            return [{"params": list(weights.values()), "share": 1.0}]
        others = {id(p) for p in faster}
        return [
            {"params": [p for p in weights.values() if id(p) not in others], "share": 1.0},
            {"params": faster, "share": ratio},
        ]

    def learn(self) -> None:
        """Dropout on."""
        self._model.train()

    def answer(self) -> None:
        """Dropout off."""
        self._model.eval()

    def at(self, step: int, micro: int) -> None:
        """Say which micro-batch comes next; call before each forward of training.

        Dropout's masks depend on it, the run's seed and the layer alone, so that they are the same after a
        resume and when checkpointed activations are computed again.
        """
        self._moment.set(step, micro)

    @property
    def looks(self) -> bool:
        """Whether a fresh run must show it some batches first, inside `looking`; not after a resume."""
        return self._spec.method == "eva"

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        """Forwards inside, a row at a time and without padding, tell EVA what its layers get to see."""
        self.answer()
        with eva.looking(self._model):
            yield

    @contextlib.contextmanager
    def reference(self) -> Iterator[None]:
        """Inside, the network computes as the base did before the run (for preferences).

        Read `network` again inside. Raises EngineError `no_reference` where the base was changed.
        """
        if self._spec.method in MUTATING:
            raise no_reference(self._spec)
        if self._spec.method == "full":
            self._apart = True
            try:
                yield
            finally:
                self._apart = False
            return
        with self._model.disable_adapter():
            yield

    def before(self) -> nn.Module:
        """A network that computes as the model did when the run began, in evaluation mode.

        Of a packed base that a start was taken out of, the base alone is not that model.
        """
        if not self._base.starts:
            return self._base.pristine.eval()
        model = with_lora(self._base.pristine, self._spec, self._base.reference)
        start_adapter(model, self._spec, self._base.starts)
        return model.eval().get_base_model()  # type: ignore[no-any-return]

    def state(self) -> dict[str, Tensor]:
        """All that learns, by stable names: the weights themselves, not copies."""
        return {name: weight.detach() for name, weight in self.weights().items()}

    def load(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` gave; raises EngineError `checkpoint_wrong` where it is not this run's."""
        weights = self.weights()
        if state.keys() != weights.keys():
            raise _wrong_state("it holds other weights than this run learns")
        for name, weight in weights.items():
            if (state[name].shape, state[name].dtype) != (weight.shape, weight.dtype):
                raise _wrong_state(f"{name} has another shape or dtype")
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(state[name])
        after = self.weights()
        for name, weight in weights.items():
            # A weight that was replaced, or froze, would train on from somewhere else without a word.
            same = after.get(name) is weight and torch.equal(weight.detach().cpu(), state[name].cpu())
            if not same and not bool(state[name].isnan().any()):
                raise _wrong_state(f"{name} could not be restored")

    def close(self) -> None:
        """Let go of all weights; nothing else may be called after it."""
        self._model = None
        self._starts = {}

    def save(self, folder: Path, note: dict[str, Any], card: str) -> None:
        """Write the result: a PEFT folder, or a model's. Each file is the old or the new one.

        Raises OSError.
        """
        spec = self._spec
        told = note | {"method": spec.method, "quant": spec.quant}
        if spec.method == "full":
            save_whole(self._model, self._base.folder, folder, told, card)
            return
        if self._starts:
            told |= {"rank": spec.rank, "converted": f"plain LoRA of rank {2 * spec.rank}"}
        save_adapter(self._model, folder, told, card, self._starts)


def no_reference(spec: TrainSpec) -> EngineError:
    """The EngineError for a method that changes the base, where the base itself is needed beside it."""
    return fault(
        "no_reference",
        f"{spec.method} cannot learn from preferences by {spec.objective}",
        "It moves part of the base into the adapter, and the base is what answers are compared with",
        "Set `method` to lora, rslora, dora or eva",
    )


def _wrong_state(why: str) -> EngineError:
    return fault(
        "checkpoint_wrong",
        "The checkpoint does not fit this run",
        why,
        "Start the run again, or resume from an earlier checkpoint",
    )
