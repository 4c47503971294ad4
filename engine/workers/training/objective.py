"""What a run minimises: from rows to examples, and from a batch of them to a loss with a gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from engine.protocol.training import Objective as Name
from engine.protocol.training import TrainSpec
from engine.workers.training.labels import Labeller, Tally


class Example(Protocol):
    """One thing to learn: a sequence with labels, a pair of them, or one with a verdict."""

    @property
    def tokens(self) -> int:
        """Of all its sequences, padding left out."""
        ...

    @property
    def labelled(self) -> int:
        """Tokens that carry loss."""
        ...

    @property
    def longest(self) -> int:
        """Tokens of its longest sequence, which batches of like length are made by."""
        ...


class Objective(Protocol):
    """One kind of loss. Stateless: what a run needs again after a resume is in its examples and weights."""

    def examples(self, rows: Sequence[Any], labeller: Labeller, length: int) -> Tally:
        """Tokenised rows; raises EngineError `no_labels` when nothing is left to learn from."""
        ...

    def weight(self, batch: Sequence[Any]) -> int:
        """What `summed` is divided by: labelled tokens, or examples."""
        ...

    def summed(self, student: Any, batch: Sequence[Any]) -> tuple[Tensor, dict[str, float]]:
        """(loss summed over the batch's weight, metrics summed alike); the loss has a gradient.

        `student`: engine.workers.training.student.Student. float32 scalar, on the student's device.
        """
        ...


def objective_of(spec: TrainSpec) -> Objective:
    """The one that a spec names."""
    from engine.workers.training.dpo import Dpo
    from engine.workers.training.kto import Kto
    from engine.workers.training.orpo import Orpo
    from engine.workers.training.packing import PackedSupervised
    from engine.workers.training.supervised import Supervised
    from engine.workers.training.text import PlainText

    preferences: dict[Name, Any] = {"dpo": Dpo, "orpo": Orpo, "kto": Kto}
    if spec.objective in preferences:
        return preferences[spec.objective](spec.beta)  # type: ignore[no-any-return]
    single = PlainText() if spec.objective == "text" else Supervised()
    return PackedSupervised(single) if spec.packing else single
