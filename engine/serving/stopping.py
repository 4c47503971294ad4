"""Ends a reply at a stop string, and holds back text that may be the beginning of one."""

from __future__ import annotations

from collections.abc import Sequence


class StopWatch:
    """Fed with pieces of text, gives back what may be shown."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.hit = False
        """Whether a stop string came; nothing is shown from it on."""

    def feed(self, text: str) -> str:
        """The text that cannot be part of a stop string any more."""
        if self.hit or not self._stops:
            return "" if self.hit else text
        text, self._held = self._held + text, ""
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            self.hit = True
            return text[: min(places)]
        held = max(_overlap(text, stop) for stop in self._stops)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def flush(self) -> str:
        """What was held back, once the reply has ended by itself."""
        text, self._held = self._held, ""
        return "" if self.hit else text


def _overlap(text: str, stop: str) -> int:
    """How many of the last characters of a text are the first ones of a stop string."""
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)
