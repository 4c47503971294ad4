"""What a model would take in a form that one chooses, and how fast it would answer: for the browser. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING

from msgspec.structs import replace

from engine.api import specs
from tui.fit import load_dtype, memory
from tui.state import EngineState

if TYPE_CHECKING:
    from engine.api import Estimate, MachineFacts, Size

PACKED_CPU: tuple[specs.Quant, ...] = ("", "int8", "int4", "nf4")
PACKED_GPU: tuple[specs.Quant, ...] = ("", "bnb8", "nf4")
CONTEXTS = tuple(1024 << step for step in range(11))
"""What `+` and `-` go through: 1,024 tokens to a million."""
TELLING = 100_000_000
"""Bytes of weights below which the memory's speed says nothing about a reply's, nor the other way round."""
REPLIES = 10
"""Newest replies that a measured speed is the mean of."""


@dataclass(frozen=True)
class Choice:
    """What one chose for a model before its load. None and 0: nothing chosen."""

    quant: specs.Quant | None = None
    context: int = 0


@dataclass(frozen=True)
class Rules:
    """What every prediction of one machine goes by."""

    facts: MachineFacts | None = None
    reserve: int | None = None
    """Bytes kept free, as the engine is set; None goes by the machine."""
    correction: float = 1.0
    dtype: str = "bfloat16"
    """That a load takes here."""


def rules_of(engine: EngineState) -> Rules:
    """The machine as it is now, with all that it has taught."""
    facts = memory(engine)
    if facts is not None:
        facts = replace(facts, bandwidth=max(_answered(engine), 0.0 if facts.name else engine.bandwidth))
    if engine.info is None:
        return Rules(facts)
    fit = engine.info.fit
    return Rules(facts, fit.reserve, fit.factor, engine.info.load_dtype or "bfloat16")


def measured(engine: EngineState, model: str) -> tuple[float, int]:
    """Mean tokens/s of the newest replies of a model that are known here, and how many they were."""
    speeds = [
        turn.stats.tokens_per_s
        for turn in engine.turns.values()
        if turn.model == model and turn.stats is not None and turn.stats.tokens_per_s > 0 and not turn.live
    ]
    newest = speeds[-REPLIES:]
    return (mean(newest), len(newest)) if newest else (0.0, 0)


def quants(model: specs.ModelInfo | None, rules: Rules) -> tuple[specs.Quant, ...]:
    """The forms that a load can pack the weights into; empty is none of them. A single one: no choice."""
    if model is not None and (model.runs_on != "torch" or model.source == "demo"):
        return ("",)
    facts = rules.facts
    packs = facts is not None and (facts.pool in ("VRAM", "GTT") or facts.packs_on_gpu)
    return PACKED_GPU if packs else PACKED_CPU


def of_model(model: specs.ModelInfo, engine: EngineState, rules: Rules, choice: Choice) -> Estimate | None:
    """What a load of a model that is here would take; None where there is nothing to load."""
    if model.runs_on == "server" or model.support == "unsupported":
        return None
    from engine.api import foretell

    facts = rules.facts
    if facts is not None and model.state == "ready":
        facts = replace(facts, held=max(0, facts.held - model.memory))
    found = foretell(
        model,
        facts,
        engine.info.fit if engine.info else specs.FitRules(),
        dtype=load_dtype(model, engine),
        quant=model.quant if choice.quant is None and model.state == "ready" else choice.quant or "",
        context=choice.context,
    )
    if not found.parts.weights:
        return None
    # What a token costs a small model is not its memory, so the memory's speed tells nothing.
    return found if found.parts.weights >= TELLING else replace(found, tokens_per_s=0.0)


def of_size(size: Size, rules: Rules, quant: str, context: int) -> Estimate:
    """What a model that is not here would take."""
    from engine.api import estimate

    return estimate(
        size,
        rules.facts,
        kind=quant or rules.dtype,
        context=context,
        reserve=rules.reserve,
        correction=rules.correction,
    )


def stepped(context: int, by: int, most: int) -> int:
    """The next context up or down, never above what the model can see (0: not known)."""
    steps = [step for step in CONTEXTS if not most or step < most] + ([most] if most else [])
    at = min(range(len(steps)), key=lambda index: abs(steps[index] - context))
    return steps[min(len(steps) - 1, max(0, at + by))]


def _answered(engine: EngineState) -> float:
    """Bytes a second that the fastest replies read, of models that are large enough to tell; 0 is unknown."""
    best = 0.0
    for model in engine.models.values():
        if model.runs_on == "torch" and model.memory >= TELLING and model.parameters:
            share = (model.active or model.parameters) / model.parameters
            best = max(best, measured(engine, model.id)[0] * model.memory * share)
    return best
