"""Memory over time: of the engine since it started, and of a run, kept with its log."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from engine.protocol.command import Command
from engine.protocol.memory import Holding
from engine.protocol.runs import PhaseMark


class MemoryPoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """One stretch of time. Bytes, of the pool that models are computed in."""

    at: float
    """Unix time in seconds at its end."""
    used: int = 0
    """By everybody."""
    ours: int = 0
    least: int = 0
    """The least of `ours` in this stretch."""
    most: int = 0
    """The most of `ours` in this stretch: a short spike is seen though it is over at the end."""
    tokens_per_s: float = 0.0
    step: int = 0
    """Of the run that trained; 0 is none."""
    loss: float | None = None


class MemoryPage(msgspec.Struct, frozen=True, omit_defaults=True):
    points: tuple[MemoryPoint, ...] = ()
    """Oldest first; older ones are merged two by two, so that any history fits one page."""
    marks: tuple[PhaseMark, ...] = ()
    """With the peak of the phase that each one ends."""
    pool: str = ""
    """Id of the pool that was watched."""
    holdings: tuple[Holding, ...] = ()
    """What the bytes were at the peak."""


class ReadMemory(Command, frozen=True, tag=True):
    """Memory since the engine started, or of one run, its record included after its end."""

    Result: ClassVar[type] = MemoryPage
    run: str = ""
    """Its id; empty is the engine."""
    since: float = 0.0
    """Unix time: only points after it."""
