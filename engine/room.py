"""Whether a model may be loaded: what it would take against the memory that is free now, and who must go."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from engine.lanes import Lane
from engine.models.fit import Estimate, foretell, gib, kinds_for, longest_context, remedy
from engine.models.fit_log import last_of, learned
from engine.models.machine import MachineFacts, kept_free, machine_facts
from engine.models.shape import size_of
from engine.protocol.errors import EngineError, fault
from engine.protocol.fit import FitRules
from engine.protocol.specs import DeviceFinding, ModelInfo
from engine.settings import current_settings

if TYPE_CHECKING:
    from engine.monitor.sample import Sampler

LEAST = 1024
"""Tokens for which there must be room at least; a longer prompt is judged when it comes."""


class Plan(NamedTuple):
    """Who goes for a load."""

    must: tuple[ModelInfo, ...] = ()
    """Without whom there is no room for the weights and a short chat."""
    better: tuple[ModelInfo, ...] = ()
    """Without whom there is room for the context that is planned for; `must` where nothing helps."""
    kept: int = 0
    """Bytes that are kept free."""


class Room:
    """Judges loads. Used from the loop's thread; the machine is read in the disk lane."""

    def __init__(self, disk: Lane) -> None:
        self._disk = disk
        self._sampler: Sampler | None = None
        self.devices: Callable[[], tuple[DeviceFinding, ...]] = lambda: ()
        """The GPUs, as torch has judged them."""
        self.load_dtype: Callable[[], str] = lambda: ""
        """What torch loads in when nothing is asked for; empty until torch has said so."""

    async def facts(self, loaded: Sequence[ModelInfo], *, plain: bool = False) -> MachineFacts | None:
        """The memory now; `loaded` models hold some of it. `plain`: RAM, whatever GPU there is."""
        devices = () if plain else self.devices()
        return await self._disk.run(self._look, devices, sum(model.memory for model in loaded))

    def _look(self, devices: tuple[DeviceFinding, ...], held: int) -> MachineFacts | None:
        if self._sampler is None:
            self._sampler = importlib.import_module("engine.monitor.sample").Sampler()
        return machine_facts(self._sampler.sample(), devices, held=held)

    async def rules(self, facts: MachineFacts | None) -> FitRules:
        """What estimates go by here."""
        return await self._disk.run(_rules, facts)

    async def estimate(
        self, model: ModelInfo, dtype: str, quant: str, context: int, loaded: Sequence[ModelInfo]
    ) -> Estimate:
        """For a screen: with what would make it fit, and how the last load of this model came out."""
        others = [other for other in loaded if other.id != model.id]
        facts = await self.facts(others, plain=model.runs_on != "torch")
        rules = await self.rules(facts)
        found = foretell(model, facts, rules, dtype=dtype or self.load_dtype(), quant=quant, context=context)
        last = await self._disk.run(last_of, model.id, facts.key if facts else "")
        found = replace(found, error=rules.error, count=rules.count, foretold=last[0], measured=last[1])
        if facts is None:
            return found
        size = size_of(model)
        told = replace(found, remedy=remedy(found, size, facts))
        longest = longest_context(
            size, facts, kind=found.kind, reserve=found.reserve, correction=found.correction
        )
        return replace(told, longest=longest)

    async def plan(
        self,
        model: ModelInfo,
        dtype: str,
        quant: str,
        others: Sequence[ModelInfo],
        staying: Sequence[ModelInfo] = (),
        coming: int = 0,
    ) -> Plan:
        """Which of `others`, the first ones first, go for this load.

        `staying`: loaded models that may not go. `coming`: bytes that loads under way will still take.
        Raises EngineError `model_too_large`.
        """
        if model.runs_on == "server":
            return Plan()
        facts = await self.facts([*others, *staying], plain=model.runs_on != "torch")
        if facts is None:
            return Plan()
        rules = await self.rules(facts)
        facts = replace(facts, free=max(0, facts.free - coming))
        asked = dtype or self.load_dtype()
        must = _fewest(model, facts, rules, asked, quant, LEAST, others)
        if must is None:
            most = replace(facts, free=facts.free + sum(other.memory for other in others))
            found = foretell(model, most, rules, dtype=asked, quant=quant, context=LEAST)
            raise too_large(model, found, most, staying)
        better = _fewest(model, facts, rules, asked, quant, 0, others)
        kept = rules.reserve if rules.reserve is not None else kept_free(facts)
        return Plan(tuple(must), tuple(must if better is None else better), kept)


def _fewest(
    model: ModelInfo,
    facts: MachineFacts,
    rules: FitRules,
    dtype: str,
    quant: str,
    context: int,
    others: Sequence[ModelInfo],
) -> list[ModelInfo] | None:
    """The shortest beginning of `others` without which the model fits; None when it never does."""
    for count in range(len(others) + 1):
        freed = sum(other.memory for other in others[:count])
        room = replace(facts, free=facts.free + freed)
        found = foretell(model, room, rules, dtype=dtype, quant=quant, context=context)
        if found.verdict == "fits":
            return list(others[:count])
    return None


def too_large(
    model: ModelInfo, found: Estimate, facts: MachineFacts, staying: Sequence[ModelInfo]
) -> EngineError:
    """The EngineError `model_too_large`, with what stays and what would help."""
    kept = f", {gib(found.reserve)} of them are kept free" if found.reserve else ""
    stays = "".join(
        f"; {other.name} stays loaded, because a run trains on it" for other in staying if other.memory
    )
    return fault(
        "model_too_large",
        f"{model.name} does not fit: it needs about {gib(found.need)} as {found.kind}, "
        f"{gib(facts.free)} of {facts.pool} are free{kept}{stays}",
        remedy=_way_out(model, found, facts),
    )


def _way_out(model: ModelInfo, found: Estimate, facts: MachineFacts) -> str:
    kinds = kinds_for(facts)
    smaller = kinds[kinds.index(found.kind) + 1 :] if found.kind in kinds else kinds[1:]
    rules = FitRules(found.reserve, found.correction)
    for kind in smaller if model.runs_on == "torch" else ():
        if foretell(model, facts, rules, quant=kind, context=found.context).verdict == "fits":
            return f"It fits packed: load it with --quant {kind}"
    if found.verdict == "tight":
        return "Close other programs, or lower kept_free in settings.toml"
    return "Close other programs, or choose a smaller model"


def _rules(facts: MachineFacts | None) -> FitRules:
    found = learned(facts.key) if facts is not None else None
    reserve = current_settings().reserve
    if found is None:
        return FitRules(reserve)
    return FitRules(reserve, found.factor, found.error, found.count)
