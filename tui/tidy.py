"""When the garbage collector looks at everything: between keys, not among them."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

EVERY = 5.0
"""Seconds between two looks at whether it is time."""
CALM = 1.0
"""Seconds without a key after which somebody who types is reading or thinking."""
AT_LEAST = 60.0
"""Seconds after which it is time whatever is typed."""
YOUNG = 10
"""Collections of the middle generation after which the oldest is worth looking at, as in Python itself."""


class Tidy:
    """Full collections take 50 ms of a long chat; on Python's own terms they come while a reply is drawn.

    `typed` tells when the last key came, by the monotonic clock.
    """

    def __init__(self, typed: Callable[[], float]) -> None:
        self._typed = typed
        self._last = time.monotonic()
        gc.freeze()  # what was made for the first paint stays for good
        young, middle, _ = gc.get_threshold()
        gc.set_threshold(young, middle, 1_000_000)
        gc.enable()

    def look(self) -> None:
        """Collect if there is enough to look at, and nobody is typing or it has waited too long."""
        now = time.monotonic()
        calm = now - self._typed() > CALM or now - self._last > AT_LEAST
        if calm and gc.get_count()[2] >= YOUNG:
            gc.collect()
            self._last = now
