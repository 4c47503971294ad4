"""Unloads a model that nobody has used for a while; its next message loads it again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager

from engine.protocol.errors import EngineError
from engine.settings import EngineSettings, current_settings

log = logging.getLogger(__name__)
MINUTES = 30.0
"""That an idle model stays where the settings say nothing, and no workbench is open."""
PERIOD = 1.0
"""Seconds between two looks."""


class KeepAlive:
    """Knows since when each model is idle. Used from the loop's thread."""

    def __init__(self, watched: Callable[[], bool], clock: Callable[[], float] = time.monotonic) -> None:
        """`watched`: whether a workbench is open."""
        self._watched = watched
        self._clock = clock
        self._used: dict[str, float] = {}
        self._busy: Counter[str] = Counter()

    def used(self, model: str) -> None:
        """It was asked for just now."""
        self._used[model] = self._clock()

    def last(self, model: str) -> float:
        """When it was used last; 0 for never."""
        return self._used.get(model, 0.0)

    @contextmanager
    def use(self, model: str) -> Iterator[None]:
        """For as long as something is done with it."""
        self._busy[model] += 1
        try:
            yield
        finally:
            self._busy[model] -= 1
            self.used(model)

    def busy(self, model: str) -> bool:
        """Whether something is done with it now."""
        return self._busy[model] > 0

    def expired(self, models: Iterable[str], settings: EngineSettings) -> list[str]:
        """Those of these loaded models that have been idle for long enough."""
        limit = self._seconds(settings)
        if limit is None:
            return []
        now = self._clock()
        return [name for name in models if not self.busy(name) and now - self._used.get(name, now) >= limit]

    def _seconds(self, settings: EngineSettings) -> float | None:
        if settings.keep_alive == "off":
            return None
        if settings.keep_alive is None:
            return None if self._watched() else MINUTES * 60
        return 60 * settings.keep_alive

    async def work(
        self, loaded: Callable[[], Iterable[str]], unload: Callable[[str], Awaitable[None]]
    ) -> None:
        """Look again and again, until cancelled. `loaded` names the models that may go."""
        while True:
            await asyncio.sleep(PERIOD)
            names = list(loaded())
            for name in self.expired(names, current_settings()) if names else ():
                try:
                    await unload(name)
                except EngineError as error:
                    log.warning("an idle model was not unloaded: %s", error.info.sentence())
