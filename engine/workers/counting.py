"""Counts prompts by tokenizers of its own, so that it never waits for a reply and never disturbs one."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from engine.backend import Turn
from engine.chat.template import ChatTemplate
from engine.chat.window import context_size, front, look, prompt_budget
from engine.counting import Measured
from engine.protocol.specs import ChatSettings, ModelInfo
from engine.workers.prompt import prompt_ids, prompt_text, switched
from engine.workers.vocabulary import Vocabulary

KEPT = 2
"""Tokenizers kept beside those of the loaded models; the one used longest ago goes first."""
UNKNOWN_CONTEXT = 2048
"""Tokens, for a model that does not say how many it was made for."""
_Key = tuple[str, int]


class TokenCounter:
    """See engine.counting.Counter. Every method runs in the counting thread.

    A loaded model's tokenizer is not shared: a tokenizer keeps settings of its last call, so two threads
    could spoil each other's ids.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[_Key, Vocabulary] = OrderedDict()

    def count(self, model: ModelInfo, text: str) -> int:
        """Tokens of a text by itself."""
        vocabulary = self._vocabulary(model)
        return len(vocabulary.tokenizer.encode(text, add_special_tokens=False))

    def measure(
        self, model: ModelInfo, turns: tuple[Turn, ...], settings: ChatSettings, share: float = 1.0
    ) -> Measured:
        """The prompt that these turns make, in this share of what a prompt may take."""
        size, budget = self._bounds(model, settings)
        window = look(turns, self._counter(model, turns, settings), int(budget * share))
        return Measured(window.whole, size, budget, window.tokens, window.dropped)

    def front(self, model: ModelInfo, turns: tuple[Turn, ...], last: Turn, settings: ChatSettings) -> int:
        """How many of the oldest turns fit together with `last` behind them."""
        _, budget = self._bounds(model, settings)
        return front(turns, last, self._counter(model, (last,), settings), budget)

    def _bounds(self, model: ModelInfo, settings: ChatSettings) -> tuple[int, int]:
        size = context_size(model.context or UNKNOWN_CONTEXT, settings)
        return size, prompt_budget(size, settings)

    def _counter(
        self, model: ModelInfo, turns: tuple[Turn, ...], settings: ChatSettings
    ) -> Callable[[tuple[Turn, ...]], int]:
        vocabulary, settings = self._vocabulary(model), switched(turns, settings)
        counts: dict[tuple[Turn, ...], int] = {}

        def count(some: tuple[Turn, ...]) -> int:
            if some not in counts:
                counts[some] = len(prompt_ids(vocabulary, some, prompt_text(vocabulary, some, settings)))
            return counts[some]

        return count

    def _vocabulary(self, model: ModelInfo) -> Vocabulary:
        folder = Path(model.path)
        key = (model.path, _newest(folder))
        if key not in self._known:
            self._known[key] = Vocabulary.load(folder, ChatTemplate.load(folder), ())
        self._known.move_to_end(key)
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        return self._known[key]


def _newest(folder: Path) -> int:
    """When the folder's tokenizer files changed last, in ns; 0 where there are none."""
    changed = [0]
    for pattern in ("tokenizer*", "chat_template*", "preprocessor_config.json"):
        changed += [file.stat().st_mtime_ns for file in folder.glob(pattern)]
    return max(changed)
