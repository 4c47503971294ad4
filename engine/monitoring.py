"""The machine watched: samples to the clients, a history, and a run that is parked before memory runs out."""

from __future__ import annotations

from collections.abc import Callable

from engine.bus import Bus
from engine.lanes import Lane
from engine.memory_book import MemoryBook
from engine.protocol.events import Sampled
from engine.protocol.memory_history import MemoryPage, ReadMemory
from engine.protocol.specs import MonitorSample
from engine.runs.relief import Relief
from engine.runs.runner import Runner
from engine.watch import Sampling, Watch


class Monitoring:
    """Owns the watch, and gives each sample to who needs it. Used from the loop's thread."""

    def __init__(
        self,
        bus: Bus,
        runner: Runner,
        disk: Lane,
        *,
        looked: Callable[[], bool],
        busy: Callable[[], bool],
        speed: Callable[[], float],
        sampling: Callable[[], Sampling] | None = None,
    ) -> None:
        """`looked`: whether a client is there; `busy`: whether anything but a run computes, and `speed` how
        many tokens a second. The first two are asked in the monitor's thread. `sampling`: see Watch.
        """
        self._bus = bus
        self._runner = runner
        self._looked = looked
        self._busy = busy
        self._watch = Watch(self._wanted, self._sampled, self._works, sampling=sampling)
        self._book = MemoryBook(disk, lambda: runner.lives, runner.book.find, self._works, speed)
        self._relief = Relief(bus, lambda: runner.lives)
        runner.short = lambda: self._relief.short

    @property
    def latest(self) -> MonitorSample | None:
        """The newest sample; None before the first."""
        return self._watch.latest

    @property
    def spent(self) -> float:
        """CPU seconds of the monitor's thread so far."""
        return self._watch.spent

    def start(self) -> None:
        """Begin to watch."""
        self._watch.start()

    def stop(self) -> None:
        """Watch no more."""
        self._watch.stop()

    async def read(self, command: ReadMemory) -> MemoryPage:
        """Memory over time. Raises EngineError `run_unknown`, `run_unreadable`."""
        return await self._book.read(command)

    def _wanted(self) -> bool:
        """A run that waits for memory has to be told of it, though nobody looks."""
        return self._looked() or self._runner.busy

    def _works(self) -> bool:
        """Whether memory may move any moment."""
        return self._busy() or any(live.info.state == "running" for live in self._runner.lives)

    def _sampled(self, sample: MonitorSample) -> None:
        self._book.add(sample)
        self._bus.publish(Sampled(sample))
        self._relief.look(sample)
