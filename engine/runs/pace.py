"""How fast a run goes, and how long it will still take."""

from __future__ import annotations

from collections import deque

from engine.protocol.runs import StepPoint

WINDOW = 20
"""Steps that the mean is taken over."""
SETTLED = 2
"""The first step warms caches up and counts only until so many later ones are known."""


class Pace:
    """Fed with every point; waiting for a chat is not in a step's seconds, and so not in the pace."""

    def __init__(self) -> None:
        self._steps: deque[StepPoint] = deque(maxlen=WINDOW)
        self._first: StepPoint | None = None

    def add(self, point: StepPoint) -> None:
        """Evaluations are passed over."""
        if point.loss is None or point.seconds <= 0:
            return
        if self._first is None:
            self._first = point
        self._steps.append(point)
        if self._first in self._steps and len(self._steps) > SETTLED:
            self._steps.popleft()

    @property
    def tokens_per_s(self) -> float:
        seconds = sum(point.seconds for point in self._steps)
        return sum(point.tokens for point in self._steps) / seconds if seconds else 0.0

    def eta_s(self, step: int, steps: int) -> float | None:
        """Seconds left; None before the first step."""
        if not self._steps or steps < step:
            return None
        return self.step_s * (steps - step)

    @property
    def step_s(self) -> float:
        """Seconds of a step; 0 before the first one."""
        return sum(point.seconds for point in self._steps) / len(self._steps) if self._steps else 0.0
