"""Side by side: what can be compared in a chat, and where the words of two answers differ. Pure."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

import msgspec

from engine.api import specs
from tui.state import EngineState, Turn

MOST = 4
"""Columns at once."""
WARM = 1.2
"""The higher temperature of a comparison of two."""
VARIED = 0.7
"""Temperature for two seeds where the model itself is greedy: greedy seeds would write the same."""


@dataclass(frozen=True)
class Variant:
    """One column: who answers, and how."""

    label: str
    model: str
    settings: specs.ChatSettings


@dataclass(frozen=True)
class Plan:
    """One thing to compare."""

    id: str
    title: str
    variants: tuple[Variant, ...]


def plans(engine: EngineState, model: specs.ModelInfo, settings: specs.ChatSettings) -> list[Plan]:
    """What this model can be compared by, the most telling first; each has two to four columns."""
    found = [
        _adapters(engine, model, settings),
        _thinking(model, settings),
        _temperatures(model, settings),
        _seeds(model, settings),
        _models(engine, model, settings),
    ]
    return [plan for plan in found if plan is not None and len(plan.variants) > 1]


def _on(settings: specs.ChatSettings, adapter: str) -> specs.ChatSettings:
    """With this adapter alone; a weight is meant for an active one."""
    active = {each.id: each for each in settings.adapters}
    return settings.with_adapters(active.get(adapter, specs.WeightedAdapter(adapter)))


def _adapters(engine: EngineState, model: specs.ModelInfo, settings: specs.ChatSettings) -> Plan | None:
    active = [each.id for each in settings.adapters]
    fitting = sorted(engine.fitting(model.id), key=lambda each: each.id not in active)
    variants = [Variant(f"{model.name} alone", model.id, settings.with_adapters())]
    if settings.more_adapters:
        together = engine.adapter_label(settings.adapter, settings)
        variants.append(Variant(f"+ {together}", model.id, settings))
    variants += [Variant(f"+ {each.name}", model.id, _on(settings, each.id)) for each in fitting]
    return Plan("adapter", "The model alone, and with its adapters", tuple(variants[:MOST]))


def _thinking(model: specs.ModelInfo, settings: specs.ChatSettings) -> Plan | None:
    if model.thinking != "switchable":
        return None
    variants = (
        Variant("thinking", model.id, _with(settings, think=True)),
        Variant("not thinking", model.id, _with(settings, think=False)),
    )
    return Plan("thinking", "Thinking, and not", variants)


def _temperatures(model: specs.ModelInfo, settings: specs.ChatSettings) -> Plan:
    cold, warm = _sampled(settings, temperature=0.0), _sampled(settings, temperature=WARM)
    variants = (Variant("temperature 0", model.id, cold), Variant(f"temperature {WARM}", model.id, warm))
    return Plan("temperature", f"Temperature 0 (always the likeliest word), and {WARM}", variants)


def _seeds(model: specs.ModelInfo, settings: specs.ChatSettings) -> Plan:
    own = settings.sampling.temperature
    own = model.defaults.temperature if own is None else own
    variants = tuple(
        Variant(f"seed {seed}", model.id, _sampled(settings, seed=seed, temperature=own or VARIED))
        for seed in (1, 2, 3)
    )
    return Plan("seeds", "Three seeds: how much is chance?", variants)


def _models(engine: EngineState, model: specs.ModelInfo, settings: specs.ChatSettings) -> Plan:
    ready = [each for each in engine.models.values() if each.state == "ready" and each.id != model.id]
    plain = settings.with_adapters()
    variants = [Variant(each.name, each.id, plain) for each in (model, *ready)][:MOST]
    return Plan("models", "The models that are loaded", tuple(variants))


def _with(settings: specs.ChatSettings, **changes: object) -> specs.ChatSettings:
    return msgspec.structs.replace(settings, **changes)


def _sampled(settings: specs.ChatSettings, **changes: object) -> specs.ChatSettings:
    return _with(settings, sampling=msgspec.structs.replace(settings.sampling, **changes))


# --- differences ----------------------------------------------------------------------------

_WORDS = re.compile(r"\s+|[^\W_]+|[\W_]", re.UNICODE)
LONGEST = 4000
"""Words of an answer that are compared; beyond them nothing is marked."""


def differing(first: str, other: str) -> list[tuple[int, int]]:
    """The spans (start, end in code points) of `other` whose words do not stand so in `first`."""
    ours, theirs = _words(first), _words(other)
    texts = [text for text, _, _ in ours[:LONGEST]], [text for text, _, _ in theirs[:LONGEST]]
    matcher = difflib.SequenceMatcher(None, *texts, autojunk=False)
    spans = []
    for kind, _, _, start, end in matcher.get_opcodes():
        if kind != "equal" and end > start:
            spans.append((theirs[start][1], theirs[end - 1][2]))
    return spans


def parting(first: str, other: str) -> int | None:
    """The number (from 1) of the first word in which two answers differ; None where they are equal."""
    ours = [text for text, _, _ in _words(first)]
    theirs = [text for text, _, _ in _words(other)]
    for place, (one, two) in enumerate(zip(ours, theirs, strict=False)):
        if one != two:
            return place + 1
    return None if len(ours) == len(theirs) else min(len(ours), len(theirs)) + 1


def _words(text: str) -> list[tuple[str, int, int]]:
    """Words and signs with their places, white space left out."""
    found = ((match[0], match.start(), match.end()) for match in _WORDS.finditer(text))
    return [word for word in found if not word[0].isspace()]


def settled(turns: list[Turn | None]) -> bool:
    """Whether all columns have their reply."""
    return all(turn is not None and not turn.live for turn in turns)
