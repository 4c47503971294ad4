"""Whether a model fits: what its load needs against what is free now. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from engine.api import machine_facts, specs
from tui.format import percent, plural, size
from tui.state import EngineState

if TYPE_CHECKING:
    from engine.api import Estimate, Learned, MachineFacts

Verdict = Literal["held", "yes", "tight", "alone", "no", "unknown", "never"]
"""Loaded now; fits beside what is loaded; only by using what is kept free; once others are unloaded; does
not fit; no reading yet; cannot be loaded at all."""
MARKS: dict[Verdict, str] = {
    "held": "● held",
    "yes": "✓ yes",
    "tight": "! tight",
    "alone": "~ alone",
    "no": "✗ no",
    "unknown": "–",
    "never": "–",
}
VERDICTS: dict[str, Verdict] = {
    "fits": "yes",
    "tight": "tight",
    "alone": "alone",
    "no": "no",
    "unknown": "unknown",
}
"""An estimate's verdict as a column has it."""
SIGNS = {"fits": "✓ fits", "tight": "! tight", "alone": "~ alone", "no": "✗ no", "unknown": "–"}
"""An estimate's verdict as a sign and a word."""
DTYPES = {"bfloat16": "bf16", "float16": "f16", "float32": "f32"}
"""Short names for a narrow column."""


class Pool(msgspec.Struct, frozen=True):
    """Where a model's weights would lie. Bytes."""

    name: str
    free: int
    total: int


class Fit(msgspec.Struct, frozen=True):
    """What one model takes, and whether there is room. Bytes."""

    verdict: Verdict
    weights: int
    need: int
    """All parts of the estimate, as this machine has taught; of a loaded model, what it holds."""
    pool: Pool | None
    estimate: Estimate | None = None
    """By parts, with one sentence; None for a model that is held, or cannot be loaded."""

    @property
    def mark(self) -> str:
        """A sign and a word: readable without colour."""
        return MARKS[self.verdict]


def pool(engine: EngineState) -> Pool | None:
    """The memory of the GPU that torch computes on, else the RAM; None before the first reading."""
    found = memory(engine)
    return Pool(found.pool, found.free, found.total) if found else None


def memory(engine: EngineState, but: str = "") -> MachineFacts | None:
    """The same with what loaded models hold of it, all `but` this one."""
    held = sum(other.memory for other in engine.models.values() if other.state == "ready" and other.id != but)
    return machine_facts(engine.monitor, engine.info.devices if engine.info else (), held=held)


def fit(model: specs.ModelInfo, engine: EngineState) -> Fit:
    """What a load of this model would need, by the rule that the engine goes by."""
    from engine.api import FitRules, foretell, weights_bytes  # not needed for the first paint

    here = pool(engine)
    if model.state == "ready":
        held = model.memory or model.bytes_on_disk
        return Fit("held", held, held, here)
    if model.support == "unsupported":
        return Fit("never", weights_bytes(model, load_dtype(model, engine)), 0, here)
    rules = engine.info.fit if engine.info else FitRules()
    found = foretell(model, memory(engine, model.id), rules, dtype=load_dtype(model, engine))
    weights = found.parts.weights
    if not weights:
        return Fit("unknown", 0, 0, here)
    return Fit(VERDICTS[found.verdict], weights, found.need, here, found)


def load_dtype(model: specs.ModelInfo, engine: EngineState) -> str:
    """The dtype that the model is held in, or that its load would pick on this machine."""
    return model.load_dtype or (engine.info.load_dtype if engine.info else "") or model.dtype


def unused_gpu(engine: EngineState) -> specs.DeviceFinding | None:
    """A GPU that this torch cannot use and that something could be done about."""
    findings = engine.info.devices if engine.info else ()
    return next((finding for finding in findings if not finding.usable and finding.remedy), None)


def parts(found: Estimate) -> list[tuple[str, str]]:
    """An estimate by parts, each a label and words: what it takes, and for what."""
    told = [("weights", f"{size(found.parts.weights)} as {DTYPES.get(found.kind, found.kind)}")]
    if found.whole:
        told.append(("cache", f"{size(found.parts.cache)} for {plural(found.context, 'token')}"))
        told.append(("working", f"{size(found.parts.working)} while a prompt is read"))
    else:
        told.append(("cache", "unknown: the model's shape is not known"))
    told.append(("overhead", size(found.parts.overhead)))
    if found.need != found.parts.total:
        share = percent(abs(found.correction - 1))
        told.append(("learned", f"{share} {'more' if found.correction > 1 else 'less'}, as measured here"))
    told.append(("together", f"{'' if found.whole else 'at least '}{size(found.need)}"))
    told.append(("kept free", size(found.reserve)))
    return told


def trust(found: Learned) -> str:
    """How well predictions of this machine came true; empty before there are enough."""
    if found.factor == 1.0 and not found.error:
        return ""
    return f"predictions are off by {percent(found.error)} here, over {plural(found.count, 'load')}"
