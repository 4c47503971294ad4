"""Guesses what a prompt takes on a server, from what the server counted for earlier ones."""

from __future__ import annotations

from collections.abc import Callable

from engine.backend import Turn
from engine.chat import window
from engine.counting import Measured
from engine.protocol.specs import ChatSettings, ModelInfo

PER_CHARACTER = 0.3
"""Tokens of a character before a server has counted anything; English has about a quarter."""
BOUNDS = (0.1, 2.0)
PER_TURN = 5
"""Tokens that a template puts around a message."""
PER_IMAGE = 800
UNKNOWN = 1 << 40
"""The budget where a server does not say what it holds: everything is sent."""
Exact = Callable[[ModelInfo, str], int | None]


class Guesses:
    """engine.counting.Counter for servers. `learn` is called from the servers' loop."""

    def __init__(self, exact: Exact) -> None:
        """`exact` asks the server's own tokenizer; None where it has none to ask."""
        self._exact = exact
        self._rates: dict[str, float] = {}

    def count(self, model: ModelInfo, text: str) -> int:
        """Tokens of a text by itself: counted by the server where it can, else a guess."""
        exact = self._exact(model, text)
        return self._tokens(model, text) if exact is None else exact

    def measure(
        self, model: ModelInfo, turns: tuple[Turn, ...], settings: ChatSettings, share: float = 1.0
    ) -> Measured:
        """The prompt that these turns make, in this share of what a prompt may take."""
        size, budget = bounds(model, settings)
        seen = self.look(model, turns, settings, int(budget * share))
        return Measured(seen.whole, size, budget, seen.tokens, seen.dropped, estimated=True)

    def front(self, model: ModelInfo, turns: tuple[Turn, ...], last: Turn, settings: ChatSettings) -> int:
        """How many of the oldest turns fit together with `last` behind them."""
        return window.front(turns, last, self._counter(model, settings), bounds(model, settings)[1])

    def look(
        self, model: ModelInfo, turns: tuple[Turn, ...], settings: ChatSettings, budget: int
    ) -> window.Window:
        """The longest end of the chat that should fit."""
        return window.look(turns, self._counter(model, settings), budget)

    def learn(self, model: ModelInfo, turns: tuple[Turn, ...], settings: ChatSettings, tokens: int) -> None:
        """The server counted this prompt: the next guess goes by it."""
        characters = len(settings.system) + sum(len(turn.text) for turn in turns)
        rest = tokens - PER_TURN * (len(turns) + 1)
        if characters >= 200 and rest > 0 and not any(turn.images for turn in turns):
            low, high = BOUNDS
            self._rates[model.id] = min(high, max(low, rest / characters))

    def _counter(self, model: ModelInfo, settings: ChatSettings) -> window.Count:
        def count(turns: tuple[Turn, ...]) -> int:
            system = PER_TURN + self._tokens(model, settings.system) if settings.system.strip() else 0
            return system + sum(
                PER_TURN + self._tokens(model, turn.text) + PER_IMAGE * len(turn.images) for turn in turns
            )

        return count

    def _tokens(self, model: ModelInfo, text: str) -> int:
        return round(len(text) * self._rates.get(model.id, PER_CHARACTER))


def bounds(model: ModelInfo, settings: ChatSettings) -> tuple[int, int]:
    """What the context holds (0 where the server does not say), and what of it a prompt may take."""
    size = window.context_size(model.context, settings) if model.context else settings.context or 0
    return size, window.prompt_budget(size, settings) if size else UNKNOWN
