"""Counts prompts by the tokenizer of a loaded GGUF model, beside its replies."""

from __future__ import annotations

from collections.abc import Callable

from engine.backend import Turn
from engine.chat.window import context_size, front, look, prompt_budget
from engine.counting import Measured
from engine.llama.prompt import counter, switched
from engine.llama.vocabulary import LlamaVocabulary
from engine.protocol.specs import ChatSettings, ModelInfo


class LlamaCounter:
    """See engine.counting.Counter. Only llama.cpp has the tokenizer: raises `model_not_loaded`."""

    def __init__(self, vocabulary: Callable[[str], LlamaVocabulary]) -> None:
        """`vocabulary` of a loaded model by its id; raises where it is not loaded."""
        self._vocabulary = vocabulary

    def count(self, model: ModelInfo, text: str) -> int:
        """Tokens of a text by itself."""
        return len(self._vocabulary(model.id).tag(text))

    def measure(
        self, model: ModelInfo, turns: tuple[Turn, ...], settings: ChatSettings, share: float = 1.0
    ) -> Measured:
        """The prompt that these turns make, in this share of what a prompt may take."""
        size, budget = _bounds(model, settings)
        count = counter(self._vocabulary(model.id), switched(turns, settings))
        window = look(turns, count, int(budget * share))
        return Measured(window.whole, size, budget, window.tokens, window.dropped)

    def front(self, model: ModelInfo, turns: tuple[Turn, ...], last: Turn, settings: ChatSettings) -> int:
        """How many of the oldest turns fit together with `last` behind them."""
        count = counter(self._vocabulary(model.id), switched((last,), settings))
        return front(turns, last, count, _bounds(model, settings)[1])


def _bounds(model: ModelInfo, settings: ChatSettings) -> tuple[int, int]:
    size = context_size(model.context, settings)
    return size, prompt_budget(size, settings)
