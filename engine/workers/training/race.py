"""Runs that take turns on the training thread. What a run learns does not depend on who ran in between."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack

from engine.training import RunOutcome
from engine.workers.device import give_back_memory
from engine.workers.training.run import Run

Guarded = Callable[[Callable[[], RunOutcome | None]], RunOutcome | None]
"""Calls what it is given, and turns faults into those that `Trainer.train` raises."""


class Member:
    """See engine.training.Member. Between its turns a GPU holds none of its tensors; on a CPU they stay."""

    def __init__(self, make: Callable[[], Run], guarded: Guarded, save_on_stop: threading.Event) -> None:
        self._make = make
        self._guarded = guarded
        self._save_on_stop = save_on_stop
        self._run: Run | None = None
        self._aside = ExitStack()

    def turn(self, steps: int, *, last: bool = False) -> RunOutcome | None:
        """So many more steps; how it ended, or None while it goes on."""
        over = True
        try:
            outcome = self._guarded(lambda: self._taken(steps, last))
            over = outcome is not None
            return outcome
        finally:
            if over:
                self._run = None
                self._aside = ExitStack()
                give_back_memory()

    def _taken(self, steps: int, last: bool) -> RunOutcome | None:
        self._aside.close()
        run = self._run
        if run is None:
            run = self._run = self._make()
            run.begin()
        if last:
            run.end_soon()
        if run.advance(steps):
            return run.finish(save=self._save_on_stop.is_set())
        if run.on_gpu:
            self._aside.enter_context(run.aside())
        return None
