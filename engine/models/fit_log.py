"""Predicted against measured memory, one JSON object a line, and what a machine teaches by it."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator
from pathlib import Path

import msgspec

from engine.files import write_atomic
from engine.paths import data_dir

NEWEST = 20
"""Loads that the correction is told from."""
ENOUGH = 3
"""Fewer teach nothing."""
LEAST, MOST = 0.5, 2.0
"""A ratio beyond these comes from another program's memory, not from the load."""
LONGEST = 1 << 20
"""Bytes after which the older half of the log is dropped."""


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """One load that was foretold and then measured. Bytes."""

    at: float
    """Unix time."""
    machine: str
    """MachineFacts.key."""
    model: str
    kind: str
    predicted: int
    """Of the same parts as `measured`, before any correction: without the overhead, which is a margin."""
    measured: int
    what: str = "load"
    """`load`, or a phase of a run."""


class Learned(msgspec.Struct, frozen=True):
    """How far predictions are off on a machine."""

    factor: float = 1.0
    """The median of measured to predicted: what the next prediction is multiplied by."""
    error: float = 0.0
    """The median distance from that, as a share: 0.04 is 4 %."""
    count: int = 0
    """Loads it was told from."""


def log_file() -> Path:
    """Where the outcomes are kept."""
    return data_dir() / "fit.jsonl"


def record(outcome: Outcome, path: Path | None = None) -> None:
    """Append one outcome. Raises OSError when the disk refuses; a load need not fail for that."""
    path = path or log_file()
    line = msgspec.json.encode(outcome) + b"\n"
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        end = os.fstat(descriptor).st_size
        if end and os.pread(descriptor, 1, end - 1) != b"\n":  # a line that a full disk cut off
            line = b"\n" + line
        os.write(descriptor, line)
    finally:
        os.close(descriptor)
    if end > LONGEST:
        lines = path.read_bytes().splitlines(keepends=True)
        write_atomic(path, b"".join(lines[len(lines) // 2 :]))


def outcomes(path: Path | None = None) -> Iterator[Outcome]:
    """All outcomes, the oldest first; lines that are broken are passed over."""
    try:
        lines = (path or log_file()).read_bytes().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            yield msgspec.json.decode(line, type=Outcome)
        except msgspec.MsgspecError:
            continue


def last_of(model: str, machine: str, path: Path | None = None) -> tuple[int, int]:
    """(Predicted, measured) of the newest load of this model here; zeros where there is none."""
    found = (0, 0)
    for outcome in outcomes(path):
        if (outcome.model, outcome.machine, outcome.what) == (model, machine, "load"):
            found = (outcome.predicted, outcome.measured)
    return found


def learned(machine: str, path: Path | None = None, *, what: str = "load") -> Learned:
    """What the newest outcomes of this machine teach; nothing below `ENOUGH` of them."""
    ratios = [
        outcome.measured / outcome.predicted
        for outcome in outcomes(path)
        if outcome.machine == machine and outcome.what == what and outcome.predicted > 0
    ]
    kept = [ratio for ratio in ratios if LEAST <= ratio <= MOST][-NEWEST:]
    if len(kept) < ENOUGH:
        return Learned(count=len(kept))
    factor = statistics.median(kept)
    return Learned(factor, statistics.median(abs(ratio / factor - 1) for ratio in kept), len(kept))
