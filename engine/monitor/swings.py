"""The least and the most of a few numbers between two samples, so that a short peak is seen."""

from __future__ import annotations

from collections.abc import Mapping

from engine.protocol.memory import Swing
from engine.protocol.specs import MonitorSample

ENGINE = "engine"


class Swings:
    """Fed with quick readings by name; `close` gives what they swung between. Used from one thread."""

    def __init__(self) -> None:
        self._least: dict[str, int] = {}
        self._most: dict[str, int] = {}

    def add(self, quick: Mapping[str, int]) -> None:
        """A quick reading: `ram` and `gpu0.gtt` as used, `engine` as resident, all in bytes."""
        for name, value in quick.items():
            self._least[name] = min(self._least.get(name, value), value)
            self._most[name] = max(self._most.get(name, value), value)

    def close(self, sample: MonitorSample) -> dict[str, Swing]:
        """The swings up to a sample, whose own numbers are among them; the next ones begin at these."""
        now = {pool.id: pool.used for pool in sample.pools if pool.used is not None}
        now.setdefault("ram", max(0, sample.ram_total - sample.ram_available))
        now[ENGINE] = sample.engine_rss
        self.add(now)
        for pool in sample.pools:
            if pool.kind == "unified":  # all of it is the RAM, which the quick readings tell
                self.add({pool.id: self._least["ram"]})
                self.add({pool.id: self._most["ram"]})
        found = {name: Swing(self._least[name], self._most[name]) for name in sorted(now)}
        self._least, self._most = dict(now), dict(now)
        return found
