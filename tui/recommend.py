"""Which Qwen to get first on this machine, for a person who has only the demo."""

from __future__ import annotations

from engine.api import memory_bandwidth, read_catalogue, what_fits
from tui.forecast import rules_of
from tui.format import rate, size
from tui.state import EngineState


def advice(engine: EngineState) -> tuple[str, str]:
    """Its hub id, and one line for the welcome; both empty where others are here, or nothing fits."""
    usable = [model for model in engine.models.values() if model.support != "unsupported"]
    if engine.monitor is None or [model.id for model in usable] != ["demo"]:
        return "", ""
    if not engine.host:  # what can be measured here is this machine's
        engine.bandwidth = engine.bandwidth or memory_bandwidth()
    rules = rules_of(engine)
    entries = [entry for entry in read_catalogue() if entry.maker == "Qwen" and not entry.gated]
    picks = what_fits(entries, rules.facts, use="chat", reserve=rules.reserve, correction=rules.correction)
    best = next((pick for pick in picks if pick.fits and pick.entry.implemented), None)
    if best is None:
        return "", ""
    found = best.estimate
    words = f"then Enter gets {best.entry.name}: {size(2 * best.entry.parameters)}"
    if found.tokens_per_s:
        words += f", at most {rate(found.tokens_per_s)}"
    return best.entry.id, words
