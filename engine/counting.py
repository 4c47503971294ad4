"""The seam between the host and the worker that measures prompts, free of torch like engine.backend."""

from __future__ import annotations

from typing import Protocol

import msgspec

from engine.backend import Turn
from engine.protocol.specs import ChatSettings, ModelInfo


class Measured(msgspec.Struct, frozen=True):
    """What a prompt takes. Tokens."""

    tokens: int
    """Of all turns, the template and the system prompt included."""
    size: int
    """What the context holds, the reply included."""
    budget: int
    """What of it a prompt may take."""
    kept: int
    """Of the turns that are sent; above the budget when the last one alone is too long."""
    dropped: tuple[int, ...] = ()
    """Places of the turns that do not fit, oldest first."""
    estimated: bool = False
    """Whether the tokens are guesses."""

    @property
    def fits(self) -> bool:
        """Whether what is kept can be sent."""
        return self.kept <= self.budget


class Counter(Protocol):
    """Counts by a model's own tokenizer and template, or guesses; loads no weights. Used from one thread.

    Raises EngineError `tokenizer_broken` or `template_failed`.
    """

    def count(self, model: ModelInfo, text: str) -> int:
        """Tokens of a text by itself."""
        ...

    def measure(
        self, model: ModelInfo, turns: tuple[Turn, ...], settings: ChatSettings, share: float = 1.0
    ) -> Measured:
        """The prompt that these turns make, in this share of what a prompt may take."""
        ...

    def front(self, model: ModelInfo, turns: tuple[Turn, ...], last: Turn, settings: ChatSettings) -> int:
        """How many of the oldest turns fit together with `last` behind them."""
        ...
