"""Whether a run fits: its estimate against the memory that is free now, and what would make it fit."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import torch
from msgspec.structs import replace

from engine.data.smaller import smaller
from engine.models.fit import gib
from engine.models.fit_log import Learned, Outcome, learned, record
from engine.models.machine import MachineFacts, kept_free, machine_facts
from engine.monitor.sample import Sampler
from engine.protocol.errors import EngineError, fault
from engine.protocol.runs import FitChange
from engine.protocol.training import TrainSpec
from engine.settings import current_settings
from engine.workers.gpu_room import gpu_room
from engine.workers.training.estimate import RECOMPUTING, Shape, need, usual_adapter

RUN = "run"
"""What an Outcome says of a run, beside `load`."""
TEACHES = 512 << 20
"""Bytes below which a run teaches nothing: what is imported late weighs more than the run."""
MOST = 3
"""Changes that are told."""


def pool(device: torch.device, held: int = 0) -> MachineFacts:
    """The memory that a run on this device would take, now. `held`: bytes of loaded weights."""
    if device.type == "cuda":
        return gpu_room(device, held)
    facts = machine_facts(Sampler((), os.getpid()).sample(), (), held=held)
    if facts is None:  # no /proc, no sysctl: nothing can be said, and nothing is refused
        return MachineFacts("RAM", 1 << 62, 1 << 62, held=held)
    return facts if device.type == "cpu" else replace(facts, pool="unified", name=device.type)


def rules(facts: MachineFacts) -> tuple[int, Learned]:
    """(bytes to keep free, what this machine's runs taught about their estimates)."""
    reserve = current_settings().reserve
    return (kept_free(facts) if reserve is None else reserve), learned(facts.key, what=RUN)


def remember(facts: MachineFacts, model: str, kind: str, predicted: int, measured: int) -> None:
    """Keep what was foretold and what it took; the next estimates learn from it. Raises OSError."""
    if predicted < TEACHES:
        return
    record(Outcome(time.time(), facts.key, model, kind, predicted, measured, RUN))


def changes(shape: Shape, spec: TrainSpec, room: float) -> tuple[FitChange, ...]:
    """At most three ways to need less: those that fit first, the cheapest of them first."""
    before = need(shape, spec, shape.layers if spec.checkpointing == "on" else 0)
    known: list[FitChange] = []
    for words, cost, asked in _ways(shape, spec):
        other = _changed(shape, spec, asked)
        changed = replace(spec, **asked)
        after = need(other, changed, other.layers if changed.checkpointing == "on" else 0)
        if after < before:
            known.append(FitChange(f"{words}: {gib(before - after)} less, {cost}", asked, after))
    fitting = [each for each in known if each.need <= room]
    others = sorted((each for each in known if each.need > room), key=lambda each: each.need)
    return tuple((fitting + others)[:MOST])


def _ways(shape: Shape, spec: TrainSpec) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(words, cost, changes of the spec), the cheapest first."""
    slower = f"the same result, {RECOMPUTING - 1:.0%} slower"
    less = smaller(spec)
    if less is not None and less.batch < spec.batch:
        batches = {"batch": less.batch, "accumulate": less.accumulate}
        words = f"batch {less.batch} × {less.accumulate} instead of {spec.batch} × {spec.accumulate}"
        yield words, "the same result, up to 10% slower", batches
    if spec.checkpointing != "on":
        yield "checkpointing on", slower, {"checkpointing": "on"}
    if spec.batch > 1:
        single = {"batch": 1, "accumulate": spec.accumulate * spec.batch, "checkpointing": "on"}
        words = f"batch 1 × {single['accumulate']} with checkpointing"
        yield words, slower, single
    if spec.method == "full":
        yield "LoRA instead of all weights", "it learns less", {"method": "lora"}
    length = max(64, shape.longest // 2)
    if length < shape.longest:
        tight = {"length": length, "batch": 1, "accumulate": spec.accumulate * spec.batch}
        words = f"rows of at most {length:,} tokens, one at a time"
        yield words, "longer rows are left out", tight | {"checkpointing": "on"}


def _changed(shape: Shape, spec: TrainSpec, asked: dict[str, Any]) -> Shape:
    longest = min(shape.longest, asked.get("length", shape.longest))
    tested = min(shape.longest_eval, asked.get("length", shape.longest_eval))
    other = replace(shape, longest=longest, longest_eval=tested)
    if spec.method == "full" and asked.get("method") == "lora":
        adapter = usual_adapter(shape, replace(spec, method="lora"))
        return replace(other, adapter=adapter, base=shape.shared or shape.base)
    return other


def too_large(title: str, detail: str, shape: Shape, spec: TrainSpec, room: float) -> EngineError:
    """The EngineError `run_too_large` with what would make it fit."""
    ways = changes(shape, spec, room)
    remedy = "Change one of: " + "; ".join(way.title for way in ways) if ways else "Choose a smaller model"
    return fault("run_too_large", title, detail, remedy)
