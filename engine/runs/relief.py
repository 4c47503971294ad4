"""Memory runs short: each worsening is told, and the run is parked before the kernel ends the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.bus import Bus
from engine.monitor.strain import CRITICAL_FULL, LEVELS, facts_of
from engine.protocol.errors import ErrorInfo
from engine.protocol.events import Notice
from engine.protocol.memory import Strain
from engine.protocol.runs import RunFinding
from engine.protocol.specs import MonitorSample
from engine.runs.live import LiveRun
from engine.settings import EngineSettings, current_settings

IN_A_ROW = 2
"""Critical samples after which a run is parked: one may be a moment's work of another program."""
AMPLE = 0.2
"""Share from which on swap that grows is the kernel's tidying up, and no reason to park."""
LAST = 0.03
"""Share of the memory that is available below which there is no time for a second sample."""


class Relief:
    """Told of every sample. Used from the loop's thread.

    A run is parked, not held: park is what frees its memory and leaves it on disk, so that nothing is lost
    whatever the kernel does next. It goes on when a person says so, for what filled the memory may still be
    there.
    """

    def __init__(
        self,
        bus: Bus,
        lives: Callable[[], Sequence[LiveRun]],
        settings: Callable[[], EngineSettings] = current_settings,
    ) -> None:
        """`lives`: what trains now."""
        self._bus = bus
        self._lives = lives
        self._settings = settings
        self._level = 0
        self._critical = 0
        """Critical samples in a row."""
        self._acted = False
        self.short = False
        """Whether no run should begin now."""

    def look(self, sample: MonitorSample) -> None:
        """One more sample."""
        level, pauses = LEVELS.index(sample.strain.level), self._pauses(sample)
        if level > self._level:
            self._tell(sample.strain)
        self._level = level
        self._critical = self._critical + 1 if level == 2 and _dire(sample) else 0
        self._acted = self._acted and level == 2
        self.short = level == 2 and pauses and _dire(sample)
        if self.short and not self._acted and (self._critical >= IN_A_ROW or _at_its_end(sample)):
            self._acted = True
            for live in self._lives():
                self._park(live, sample.strain)

    def _pauses(self, sample: MonitorSample) -> bool:
        """Where nothing is set, what computes in RAM is parked: a run in a card's own memory frees none."""
        wanted = self._settings().pause_at_critical
        main = sample.pools[0] if sample.pools else None
        return wanted if wanted is not None else main is None or main.kind != "vram"

    def _tell(self, strain: Strain) -> None:
        critical = strain.level == "critical"
        detail = "The system may end programs soon, this one among them" if critical else ""
        remedy = "Close other programs, or unload a model"
        self._bus.publish(Notice("warning", ErrorInfo("memory_short", strain.why, detail, remedy)))

    def _park(self, live: LiveRun, strain: Strain) -> None:
        if live.stopped.is_set() or (live.pausing.is_set() and live.pause_mode == "park"):
            return
        # A run of another process has no checkpoint to park at: frozen it takes no more, and loses nothing.
        outside = live.info.spec.objective == "grpo"
        name, step = live.info.name, live.info.step
        kept = "frozen" if outside else "parked with all that it has learnt"
        title = f"{strain.why}, so the run was {kept}. Resume it once there is room"
        live.found(RunFinding("memory_short", step, title, "run.resume"))
        live.pause("hold" if outside else "park")
        info = ErrorInfo(
            "run_parked",
            f"{name} is {kept}, before memory runs out",
            strain.why,
            f"Close other programs, then resume it: `qwill runs resume {live.info.id}`",
        )
        self._bus.publish(Notice("warning", info))


def _dire(sample: MonitorSample) -> bool:
    """Whether something beside the swap says so."""
    facts = facts_of(sample)
    return facts.available < AMPLE * facts.total or (facts.full10 or 0.0) > CRITICAL_FULL


def _at_its_end(sample: MonitorSample) -> bool:
    facts = facts_of(sample)
    return facts.available < LAST * facts.total
