"""The chat goes first: a run waits at its next micro-step while a reply is generated on the same device."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """Shared by the model thread and the training thread."""

    def __init__(self) -> None:
        self._free = threading.Event()
        self._free.set()

    @contextmanager
    def chatting(self) -> Iterator[None]:
        """Hold runs for as long as a reply is generated."""
        self._free.clear()
        try:
            yield
        finally:
            self._free.set()

    def wait(self, stopped: threading.Event) -> float:
        """Block a run while a reply is generated, or until it is stopped; returns the seconds waited."""
        waited = 0.0
        while not self._free.wait(0.05) and not stopped.is_set():
            waited += 0.05
        return waited
