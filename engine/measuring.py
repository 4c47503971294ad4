"""What loads were foretold to take and what they took: a line a load, which later estimates learn from."""

from __future__ import annotations

import logging
import time

import msgspec

from engine.lanes import Lane
from engine.models.fit import estimate, kind_of
from engine.models.fit_log import Outcome, record
from engine.models.machine import MachineFacts
from engine.models.shape import size_of
from engine.protocol.fit import Parts
from engine.protocol.specs import ModelInfo

log = logging.getLogger(__name__)


class _Load(msgspec.Struct, frozen=True):
    model: ModelInfo
    facts: MachineFacts


class Measuring:
    """Loads that wait for their first reply. Used from the loop's thread; writes in the disk lane."""

    def __init__(self, disk: Lane) -> None:
        self._disk = disk
        self._loads: dict[str, _Load] = {}

    async def loaded(self, model: ModelInfo, facts: MachineFacts | None) -> None:
        """A load is done: its weights are measured now, all of it once it has replied."""
        self._loads.clear()  # memory that moves for another model is not this one's
        if facts is None or not model.memory or model.shape is None or model.runs_on != "torch":
            return
        self._loads[model.id] = _Load(model, facts)
        foretold = _parts(model, facts, 1).weights
        await self._write(model, facts, foretold, model.memory, "weights")

    def spoil(self) -> None:
        """Something else took or gave back memory: what comes now is not measured."""
        self._loads.clear()

    async def replied(self, model: str, peak: int, tokens: int) -> bool:
        """A reply of this model ended, with `tokens` in its cache; whether that taught something.

        `peak`: bytes that the model took at most since before its load, all told; 0 is unknown.
        """
        load = self._loads.pop(model, None)
        if load is None or peak <= 0:
            return False
        parts = _parts(load.model, load.facts, max(1, tokens))
        # The overhead is a margin: of a small model it would teach that large ones take less than they do.
        foretold = parts.total - parts.overhead
        return await self._write(load.model, load.facts, foretold, peak, "load")

    async def _write(
        self, model: ModelInfo, facts: MachineFacts, foretold: int, measured: int, what: str
    ) -> bool:
        kind = kind_of(model, model.load_dtype, model.quant)
        outcome = Outcome(time.time(), facts.key, model.id, kind, foretold, measured, what)
        try:
            await self._disk.run(record, outcome)
        except OSError as error:  # a full disk is no reason to fail a load
            log.warning("a measurement was not kept: %s", error)
            return False
        return True


def _parts(model: ModelInfo, facts: MachineFacts, tokens: int) -> Parts:
    kind = kind_of(model, model.load_dtype, model.quant)
    return estimate(size_of(model), facts, kind=kind, context=tokens, cache_dtype=model.load_dtype).parts
