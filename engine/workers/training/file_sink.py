"""A run that no engine watches: its log, its state and a line a step, written where it was started."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec.structs import replace

from engine.data.spec_file import dump_spec
from engine.files import write_atomic
from engine.protocol.report import RunSample
from engine.protocol.runs import PauseMode, Phase, PhaseMark, RunFinding, RunInfo, StepPoint
from engine.runs import folder, log
from engine.runs.live import known, tested
from engine.runs.peak import PeakWatch
from engine.training import Foreseen


class QuietSink:
    """A RunSink that keeps nothing, for ranks that another one speaks for."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.pausing = threading.Event()
        self.pause_mode: PauseMode = ""

    def sized(self, steps: int) -> None:
        pass

    def foreseen(self, found: Foreseen) -> None:
        pass

    def phase(self, phase: Phase, step: int = 0) -> PhaseMark:
        return PhaseMark(phase, time.time(), step)

    def point(self, point: StepPoint) -> None:
        pass

    def saved(self, step: int, folder: str) -> None:
        pass

    def sample(self, sample: RunSample) -> None:
        pass

    def found(self, finding: RunFinding) -> None:
        pass


class FileSink(QuietSink):
    """Writes the same files as the engine does for a run: run.toml, info.json, events.jsonl."""

    def __init__(self, place: Path, info: RunInfo, tell: Callable[[StepPoint], None]) -> None:
        """`place`: the run's folder, made if need be. `tell`: called with each point.

        Raises EngineError `disk_full`, `run_unwritable`, and OSError.
        """
        super().__init__()
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(place / folder.SPEC, dump_spec(info.spec))
        self._place = place
        self._tell = tell
        self._writer = log.LogWriter(place / log.NAME)
        self._peak = PeakWatch()
        self.info = info
        self.losses: list[float] = []
        self.seconds: list[float] = []
        self.keep(info)

    def keep(self, info: RunInfo) -> None:
        """The run as it stands now, in both files."""
        self.info = info
        self._writer.run(info)
        write_atomic(self._place / folder.INFO, msgspec.json.format(msgspec.json.encode(info)))

    def sized(self, steps: int) -> None:
        self.info = replace(self.info, steps=steps)

    def foreseen(self, found: Foreseen) -> None:
        self.info = known(self.info, found)

    def phase(self, phase: Phase, step: int = 0) -> PhaseMark:
        resident, peak = self._peak.turn()
        mark = PhaseMark(phase, time.time(), step, memory=resident, peak=peak)
        self._writer.mark(mark)
        self.info = replace(self.info, phase=phase, peak=max(self.info.peak, self._peak.overall))
        return mark

    def point(self, point: StepPoint) -> None:
        point = replace(point, memory=point.memory or self._peak.look())
        self._writer.point(point)
        if point.loss is not None:
            self.losses.append(point.loss)
            self.seconds.append(point.seconds)
            self.info = replace(
                self.info,
                step=point.step,
                loss=point.loss,
                epoch=point.epoch,
                tokens=self.info.tokens + point.tokens,
                rate=point.rate,
                grad_norm=point.grad_norm,
            )
        elif point.eval_loss is not None:
            self.info = tested(self.info, point)
        self._tell(point)

    def sample(self, sample: RunSample) -> None:
        self._writer.sample(sample)

    def found(self, finding: RunFinding) -> None:
        self.info = replace(self.info, findings=(*self.info.findings, finding))

    def close(self) -> None:
        self._peak.stop()
        self._writer.close()
