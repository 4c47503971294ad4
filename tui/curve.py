"""What is kept of a run's event log: bounded, with every spike still in it. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from engine.api import commands, runs

LIMIT = 2000
"""Points kept of a curve at most are twice as many; then each ten become five at most."""
GROUP = 10
"""Points of which at most five are kept."""


class Moment(NamedTuple):
    """Bytes held at one Unix time, and what was done with them."""

    at: float
    held: int
    least: int = 0
    """The least and the most since the moment before; both 0 where that is not known."""
    most: int = 0
    used: int = 0
    """By everybody, of the same memory."""
    speed: float = 0.0
    """Tokens a second, of a reply or of a run."""
    step: int = 0
    """Of the run that trained; 0 is none."""
    loss: float | None = None

    @property
    def high(self) -> int:
        """The highest that is known."""
        return max(self.held, self.most)

    @property
    def low(self) -> int:
        """The lowest that is known."""
        return min(self.held, self.least) if self.most else self.held


class Dot(NamedTuple):
    """One training step."""

    step: int
    at: float
    """Unix time in seconds."""
    loss: float
    memory: int = 0
    rate: float = 0.0
    grad: float = 0.0
    """Gradient norm before it was clipped."""
    tokens: int = 0
    """Trained on up to here."""
    speed: float = 0.0
    """Tokens a second of this step."""
    epoch: float = 0.0
    metrics: dict[str, float] | None = None
    """Further numbers of the run's objective."""


class Mark(NamedTuple):
    """One evaluation."""

    step: int
    at: float
    loss: float


class Curve(msgspec.Struct):
    """One run's points by step, oldest first."""

    dots: list[Dot] = msgspec.field(default_factory=list)
    evals: list[Mark] = msgspec.field(default_factory=list)
    marks: list[runs.PhaseMark] = msgspec.field(default_factory=list)
    samples: list[commands.RunSample] = msgspec.field(default_factory=list)
    """Answers to the run's fixed prompts, oldest first."""
    whole: bool = False
    """Whether it was read from the log, and not only followed."""
    log: str = ""
    """Path of the log, on the engine's machine."""

    @property
    def last(self) -> int:
        """The newest step; 0 before the first."""
        return self.dots[-1].step if self.dots else 0

    def add(self, point: runs.StepPoint) -> bool:
        """Take a point that is newer than all there are; False when it is not."""
        if point.loss is None and not point.wrong:
            return self._add_eval(point)
        if point.step <= self.last:
            return False
        self.dots.append(_dot(point, self.dots[-1].tokens if self.dots else 0))
        if len(self.dots) > 2 * LIMIT:
            self.dots = thin_dots(self.dots)
        return True

    def cut(self, step: int) -> None:
        """Forget what came after a step: the run was taken up again there."""
        self.dots = [dot for dot in self.dots if dot.step <= step]
        self.evals = [mark for mark in self.evals if mark.step <= step]

    def mark(self, mark: runs.PhaseMark) -> bool:
        """Take the beginning of a phase; False when it is known."""
        if any(mark.at == known.at and mark.phase == known.phase for known in self.marks[-8:]):
            return False
        self.marks.append(mark)
        return True

    def extend(self, points: Iterable[runs.StepPoint], marks: Iterable[runs.PhaseMark]) -> None:
        """Take a page of the log."""
        for point in points:
            self.add(point)
        for mark in marks:
            self.mark(mark)

    def take_newer(self, other: Curve) -> None:
        """Whatever the other one has beyond the end of this one."""
        last, end = self.last, self.evals[-1].step if self.evals else 0
        known = [dot.tokens for dot in other.dots if dot.step <= last]
        more = (self.dots[-1].tokens if self.dots else 0) - (known[-1] if known else 0)
        self.dots += [dot._replace(tokens=dot.tokens + more) for dot in other.dots if dot.step > last]
        self.evals += [mark for mark in other.evals if mark.step > end]
        there = {(mark.at, mark.phase) for mark in self.marks}
        self.marks += [mark for mark in other.marks if (mark.at, mark.phase) not in there]
        self.marks.sort(key=lambda mark: mark.at)

    def _add_eval(self, point: runs.StepPoint) -> bool:
        if point.eval_loss is None or (self.evals and point.step <= self.evals[-1].step):
            return False
        self.evals.append(Mark(point.step, point.at, point.eval_loss))
        return True


def _dot(point: runs.StepPoint, before: int) -> Dot:
    """A step as it is kept; `before` are the tokens until then. What was no number is NaN again."""
    loss = point.loss if point.loss is not None else float("nan")
    speed = point.tokens / point.seconds if point.seconds > 0 else 0.0
    return Dot(
        point.step,
        point.at,
        loss,
        point.memory,
        point.rate,
        math.nan if "grad" in point.wrong else point.grad_norm,
        before + point.tokens,
        speed,
        point.epoch,
        point.metrics or None,
    )


def thin_dots(dots: list[Dot]) -> list[Dot]:
    """Fewer points: of each group the lowest and highest loss, the highest memory and gradient, and the
    slowest step; the ends stay."""
    kept = [dots[0]]
    for start in range(1, len(dots) - 1, GROUP):
        group = dots[start : min(start + GROUP, len(dots) - 1)]
        spikes = (
            min(group, key=_loss),
            max(group, key=_loss),
            max(group, key=lambda dot: dot.memory),
            max(group, key=lambda dot: dot.grad if dot.grad == dot.grad else math.inf),
            min(group, key=lambda dot: dot.speed),
        )
        by_step = {dot.step: dot for dot in spikes}
        kept += [by_step[step] for step in sorted(by_step)]
    return [*kept, dots[-1]]


def thin(moments: list[Moment]) -> list[Moment]:
    """Half as many: of each two the higher one, with the least and the most of both."""
    pairs = zip(moments[:-1:2], moments[1:-1:2], strict=False)
    return [*(_joined(*pair) for pair in pairs), moments[-1]]


def _joined(one: Moment, other: Moment) -> Moment:
    higher = max(one, other, key=lambda moment: moment.held)
    if not (one.most or other.most):
        return higher
    return higher._replace(least=min(one.low, other.low), most=max(one.high, other.high))


def _loss(dot: Dot) -> float:
    # A loss that is not a number counts as the highest: it must not vanish.
    return dot.loss if dot.loss == dot.loss else float("inf")
