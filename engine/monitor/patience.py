"""Reads that may hang: done in a thread beside the sampler's, so that a stuck driver stops nobody."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")
log = logging.getLogger(__name__)
FIRST = 1.0
"""Seconds that the first answer of a reader is waited for: a driver may have to wake its device."""
PATIENCE = 0.25
"""Seconds that any later one is waited for."""
LATE = 2.0
"""Seconds after which an answer that does not come is told of."""
IDLE = 10.0
"""Seconds after which a thread that nobody needs ends."""


class Answer(NamedTuple, Generic[T]):
    """The newest value that a read brought."""

    value: T | None
    """None: there has never been one."""
    age: float = 0.0
    """Seconds since it was read; 0 for a new one."""
    why: str = ""
    """Why there is no new one, for the middle of a sentence; empty when there is."""


class Patient(Generic[T]):
    """One read, done again and again by `ask_all`. While it hangs it is not begun a second time.

    `read` may raise: that is logged once, and the last value stays.
    """

    def __init__(
        self,
        read: Callable[[], T],
        name: str = "a reader",
        *,
        first: float | None = None,
        patience: float | None = None,
    ) -> None:
        """`first`, `patience`: seconds instead of the usual ones."""
        self._read = read
        self._name = name
        self._first = first
        self._patience = patience
        self._began = 0.0
        self._kept: tuple[T, float] | None = None
        self._trouble = ""
        self.stuck = False
        """Whether a read is under way."""

    @property
    def due(self) -> float:
        """Monotonic time at which its answer is no longer waited for."""
        if self._kept is None:
            return self._began + (FIRST if self._first is None else self._first)
        return self._began + (PATIENCE if self._patience is None else self._patience)

    def begin(self) -> None:
        self._began, self.stuck = time.monotonic(), True

    def work(self) -> None:
        """Read. Called by a worker, after `begin`."""
        try:
            value = self._read()
        except Exception as error:  # the edge of a thread: a reader's fault must not reach the sampler
            if not self._trouble:
                log.exception("the monitor could not read %s", self._name)
            self._trouble = f"it failed with {type(error).__name__}"
        else:
            self._kept, self._trouble = (value, time.monotonic()), ""
        self.stuck = False

    def answer(self) -> Answer[T]:
        """The newest value, without waiting."""
        now = time.monotonic()
        why = self._trouble
        if self.stuck and (self._kept is None or now - self._kept[1] > LATE):
            why = f"no answer for {now - self._began:.0f} s"
        if self._kept is None:
            return Answer(None, 0.0, why or "not read yet")
        value, at = self._kept
        return Answer(value, now - at if why or self.stuck else 0.0, why)


class _Turn:
    """Some reads, one after the other, until the thread is left alone with one that hangs."""

    def __init__(self, patients: Iterable[Patient[Any]]) -> None:
        self._rest = deque(patients)
        self._changed = threading.Condition()
        self._done = False
        self._awaited = 0.0
        """Until when `wait` sleeps; monotonic time."""
        self._current: Patient[Any] = self._rest.popleft()
        self._current.begin()

    def wait(self) -> list[Patient[Any]]:
        """Those it did not come to, because one before them took too long."""
        with self._changed:
            while not self._done:
                self._awaited = self._current.due
                left = self._awaited - time.monotonic()
                if left <= 0:
                    rest, self._rest = self._rest, deque()
                    return list(rest)
                self._changed.wait(left)
        return []

    def work(self) -> None:
        self._current.work()
        while self._next():
            self._current.work()

    def end(self) -> None:
        with self._changed:
            self._done = True
            self._changed.notify()

    def _next(self) -> bool:
        with self._changed:
            if not self._rest:
                return False
            self._current = self._rest.popleft()
            self._current.begin()
            if self._current.due < self._awaited:  # it is waited for less long than the one before
                self._changed.notify()
            return True


class _Hand:
    """A thread that takes one turn after the other. Starting one for each turn would be most of its cost."""

    def __init__(self) -> None:
        self._turns: SimpleQueue[_Turn] = SimpleQueue()
        threading.Thread(target=self._live, name="monitor reader", daemon=True).start()

    def take(self, turn: _Turn) -> None:
        self._turns.put(turn)

    def _live(self) -> None:
        while True:
            try:
                turn = self._turns.get(timeout=IDLE)
            except Empty:
                with _lock:
                    if self in _idle:
                        _idle.remove(self)
                        return
                continue  # it was taken in this very moment
            turn.work()
            with _lock:
                _idle.append(self)
            turn.end()


_lock = threading.Lock()
_idle: list[_Hand] = []


def _forget() -> None:
    """In a forked child there are no threads but its own."""
    global _lock
    _lock = threading.Lock()
    _idle.clear()


os.register_at_fork(after_in_child=_forget)


def ask_all(patients: Iterable[Patient[Any]]) -> None:
    """Read all that are not stuck; those whose patience ends go on by themselves.

    Takes one thread, and another one for each that hangs. Waits at most the patience of each of these, once.
    """
    rest = [patient for patient in patients if not patient.stuck]
    while rest:
        with _lock:
            hand = _idle.pop() if _idle else None
        turn = _Turn(rest)
        (hand or _Hand()).take(turn)
        rest = turn.wait()
