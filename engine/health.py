"""Answers ReadHealth: statistics of the replies that are remembered, against the best of this machine."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from msgspec.structs import replace

from engine.backend import ReplyResult
from engine.chatbook import Chatbook
from engine.protocol.errors import EngineError
from engine.protocol.fit import EstimateFit
from engine.protocol.health import HealthReport, ModelHealth, ReadHealth
from engine.protocol.specs import ModelInfo, ReplyStats
from engine.shelf import Shelf
from engine.vitals import FASTER, Machine, Told, judge, with_tips

REMEMBERED = 2000
"""Newest replies that are looked at."""
UNSTORED = 1000
"""Replies to other programs, which no chat holds, that are remembered until the engine ends."""
PACKED = ("int8", "int4")
"""Forms that a CPU reads faster."""
SHORT = 2048
"""Tokens of context for which forms are compared."""


class Health:
    """Used from the loop's thread."""

    def __init__(self, book: Chatbook, shelf: Shelf, machine: Callable[[], Machine]) -> None:
        self._book = book
        self._shelf = shelf
        self._machine = machine
        self._unstored: deque[Told] = deque(maxlen=UNSTORED)

    def note(self, model: ModelInfo, stats: ReplyStats) -> None:
        """Remember a reply that no chat holds."""
        self._unstored.append(Told(model.id, marked(stats, model), time.time()))

    async def report(self, command: ReadHealth) -> HealthReport:
        """Raises EngineError `model_not_found`."""
        wanted = (await self._shelf.find(command.model)).id if command.model else ""
        rows = [*self._unstored, *await self._book.told(REMEMBERED)]
        kept = [row for row in rows if wanted in ("", row.model) and row.model]
        kept.sort(key=lambda row: -row.at)
        models = {model.id: model for model in self._shelf.infos()}
        found = with_tips(judge(kept, models, self._machine()))
        return HealthReport(tuple([await self._with_guess(each, found, models) for each in found]))

    async def _with_guess(
        self, health: ModelHealth, found: list[ModelHealth], models: dict[str, ModelInfo]
    ) -> ModelHealth:
        """With what packing would do for a model on the CPU that was never tried packed."""
        model = models.get(health.model)
        tried = any(other.quant for other in found if other.model == health.model)
        unfit = model is None or model.runs_on != "torch" or model.source == "demo"
        if health.tip or tried or unfit or health.quant or health.device != "cpu":
            return health
        try:
            plain = await self._read(health.model, health.dtype, "")
            reads = {kind: await self._read(health.model, "", kind) for kind in PACKED}
        except EngineError:  # it is gone, or its shape is unknown
            return health
        kind = min(reads, key=lambda kind: reads[kind])
        ratio = plain / reads[kind] if reads[kind] else 0.0
        if ratio < FASTER:
            return health
        words = f"As {kind} it reads {ratio:.1f} times less a token; try it with --quant {kind}"
        return replace(health, tip=words)

    async def _read(self, model: str, dtype: str, quant: str) -> int:
        """Bytes that one token reads."""
        return (await self._shelf.estimate(EstimateFit(model, dtype, quant, SHORT))).read


def marked(stats: ReplyStats, model: ModelInfo, memory: int = 0) -> ReplyStats:
    """The statistics with the form in which the model answered; `memory` where it was measured."""
    return replace(
        stats,
        dtype=model.load_dtype,
        quant=model.quant,
        device=model.device,
        memory=memory or stats.memory or model.memory,
    )


def told(result: ReplyResult, model: ModelInfo) -> ReplyResult:
    """A reply's result with its statistics marked."""
    return replace(result, stats=marked(result.stats, model, result.memory))
