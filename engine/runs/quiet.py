"""Whether nobody has chatted for some minutes: what a run that waits for that goes by."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

MINUTES = 5.0


def idle_seconds() -> float:
    """How long nobody must have chatted."""
    return float(os.environ.get("QWILL_QUIET_SECONDS", MINUTES * 60))


class Quiet:
    """Asked again and again while a run waits; the time counts from the first time on."""

    def __init__(self) -> None:
        self.chatting: Callable[[], bool] = lambda: False
        """Whether a reply is under way."""
        self._since: float | None = None

    def __call__(self) -> bool:
        """Whether it is quiet now. Seconds of a clock that no one can set."""
        now = time.monotonic()
        if self._since is None or self.chatting():
            self._since = now
        return now - self._since >= idle_seconds()

    def forget(self) -> None:
        """Nobody waits any more."""
        self._since = None
