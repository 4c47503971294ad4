"""What of a run's log goes to a tracker: names and numbers, the same for all of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import msgspec

from engine.protocol.runs import RunInfo, StepPoint
from engine.runs import folder, log
from engine.runs.log import Line

LOOK_SECONDS = 0.3
"""Between two looks at a log that grows."""
LATE_SECONDS = 2.0
"""After the word that the run has ended, for what is still being written."""


class Tracker(Protocol):
    """Where numbers go. Its package is imported when it is made."""

    place: str
    """Where a person finds them: a folder, a file or an address."""

    def add(self, step: int, at: float, numbers: dict[str, float]) -> None:
        """Numbers of one step; steps never fall."""
        ...

    def close(self, state: str) -> None:
        """No more comes; `state`: how the run ended."""
        ...


def numbers(point: StepPoint) -> dict[str, float]:
    """A step's, or an evaluation's, by the names that a tracker shows."""
    if point.eval_loss is not None:
        found = {"eval/loss": point.eval_loss}
        return found | {f"eval/{name}": value for name, value in point.metrics.items()}
    if point.loss is None:
        return {}
    found = {
        "train/loss": point.loss,
        "train/rate": point.rate,
        "train/grad_norm": point.grad_norm,
        "train/epoch": point.epoch,
        "train/memory_gib": point.memory / (1 << 30),
    }
    if point.seconds > 0:
        found["train/tokens_per_s"] = point.tokens / point.seconds
    return found | {f"train/{name}": value for name, value in point.metrics.items()}


def settings(info: RunInfo) -> dict[str, str | float]:
    """What the run was asked to do, flat."""
    spec = {name: getattr(info.spec, name) for name in info.spec.__struct_fields__}
    return {
        name: value if isinstance(value, int | float | str) else msgspec.json.encode(value).decode()
        for name, value in spec.items()
    }


def info_of(place: Path) -> RunInfo:
    """The run in this folder. Raises OSError where there is none."""
    found = folder.load(place)
    if found is None:
        raise FileNotFoundError(2, "There is no run in this folder", str(place))
    return found


def finished(place: Path) -> Iterator[StepPoint]:
    """Every point of a run that has ended, each step once."""
    since, more = 0, True
    while more:
        page = log.read(place / log.NAME, since)
        yield from page.points
        more = page.more
        since = page.points[-1].step + 1 if page.points else 0


def growing(path: Path, since: int, ended: Ended) -> Iterator[StepPoint]:
    """Points of steps after `since` as they are written, until the run has ended."""
    decoder = msgspec.json.Decoder(Line)
    offset, deadline = 0, 0.0
    while True:
        over = ended.wait(LOOK_SECONDS)
        data = _read(path, offset)
        whole = data[: data.rfind(b"\n") + 1]
        offset += len(whole)
        for raw in whole.splitlines():
            try:
                point = decoder.decode(raw).point
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            if point is not None and point.step > since:
                yield point
        if over and not whole:
            deadline = deadline or time.monotonic() + LATE_SECONDS
            if ended.state or time.monotonic() > deadline:
                return


class Ended(Protocol):
    """Tells when a run has ended."""

    state: str
    """How; empty where nobody said it."""

    def wait(self, seconds: float) -> bool:
        """Whether it has, after so many seconds at most."""
        ...


def _read(path: Path, offset: int) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read()
    except FileNotFoundError:
        return b""
