"""A run while it trains: the training thread writes into it, the loop takes from it."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import msgspec
from msgspec.structs import replace

from engine import holdings
from engine.protocol.report import RunSample
from engine.protocol.runs import PauseMode, Phase, PhaseMark, RunFinding, RunInfo, StepPoint
from engine.runs.findings import Watcher
from engine.runs.log import LogWriter
from engine.runs.memory_log import NAME, RunMemory
from engine.runs.pace import Pace
from engine.runs.peak import PeakWatch
from engine.training import Foreseen


class Sized(msgspec.Struct, frozen=True):
    """The number of steps is known."""

    steps: int


class Saved(msgspec.Struct, frozen=True):
    """A checkpoint is on disk."""

    step: int


Piece = StepPoint | PhaseMark | RunFinding | Sized | Saved | Foreseen


class LiveRun:
    """The sink of one run (engine.training.RunSink). What it hands to the loop is in the log already."""

    def __init__(self, info: RunInfo, log: Path) -> None:
        """Opens the log; raises EngineError when that cannot be written."""
        self.info = info
        """As last published."""
        self.stopped = threading.Event()
        self.save_on_stop = threading.Event()
        self.save_on_stop.set()
        self.pausing = threading.Event()
        self.pause_mode: PauseMode = ""
        self.ended_early = asyncio.Event()
        """`stopped`, for those who wait in the loop."""
        self.leaving = False
        """Whether it was parked because the engine ends."""
        self.again = False
        """Whether it queues up once it is parked."""
        self.shares = 1
        """Runs that take turns on the training thread, this one among them."""
        self.changed = asyncio.Event()
        self.flushing = asyncio.Lock()
        self.writer = LogWriter(log)
        self.memory = RunMemory(log.with_name(NAME))
        self.peak = PeakWatch()
        self._pace = Pace()
        known = [finding.code for finding in info.findings]
        self._watcher = Watcher(info.spec.rate, told=known)
        self._stepped = time.monotonic()
        """When the last step ended, or another phase began."""
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._pieces: list[Piece] = []

    # --- training thread --------------------------------------------------------------------

    def sized(self, steps: int) -> None:
        self._hand_over(Sized(steps))

    def foreseen(self, found: Foreseen) -> None:
        self._hand_over(found)

    def phase(self, phase: Phase, step: int = 0) -> PhaseMark:
        resident, peak = self.peak.turn()
        mark = PhaseMark(phase, time.time(), step, memory=resident, peak=peak)
        self._stepped = time.monotonic()
        self.writer.mark(mark)
        now, most = holdings.shared.take_peak(self.info.id)
        self.memory.mark(replace(mark, memory=now, peak=most) if most else mark)
        self._hand_over(mark)
        return mark

    def point(self, point: StepPoint) -> None:
        point = replace(point, at=point.at or time.time(), memory=point.memory or self.peak.look())
        self._stepped = time.monotonic()
        self.writer.point(point)
        self._hand_over(point)
        for finding in self._watcher.add(point):
            self.found(finding)

    def saved(self, step: int, folder: str) -> None:
        """Checkpoints are found by their folders; the list of adapters is told."""
        self._hand_over(Saved(step))

    def sample(self, sample: RunSample) -> None:
        self.writer.sample(sample)

    def found(self, finding: RunFinding) -> None:
        self._hand_over(finding)

    def _hand_over(self, piece: Piece) -> None:
        with self._lock:
            self._pieces.append(piece)
            first = len(self._pieces) == 1
        if first:  # one wake-up a flush, not one a step
            self._loop.call_soon_threadsafe(self.changed.set)

    # --- loop -------------------------------------------------------------------------------

    def stop(self, *, save: bool) -> None:
        """End after the present step."""
        if save:
            self.save_on_stop.set()
        else:
            self.save_on_stop.clear()
        self.stopped.set()
        self.pausing.clear()
        self.ended_early.set()

    def pause(self, mode: PauseMode, *, again: bool = False) -> None:
        """Stand still after the present step; `again`: and queue up, once parked."""
        self.pause_mode = mode
        self.again = again
        self.pausing.set()
        if mode == "park":  # it may not have begun
            self.ended_early.set()

    def resume(self) -> None:
        """Go on; a run that is being parked queues up."""
        if self.pause_mode == "park":
            self.again = True
        else:
            self.pausing.clear()
            self.pause_mode = ""

    def take(self) -> list[Piece]:
        """What came since the last time, in order."""
        self.changed.clear()
        with self._lock:
            pieces, self._pieces = self._pieces, []
        return pieces

    def fold(self, piece: Piece) -> RunInfo:
        """The run's info with this piece in it."""
        peak = max(self.info.peak, self.peak.overall)
        if isinstance(piece, Sized):
            return replace(self.info, steps=piece.steps, peak=peak)
        if isinstance(piece, Saved):
            return replace(self.info, peak=peak)
        if isinstance(piece, Foreseen):
            return replace(known(self.info, piece), peak=peak)
        if isinstance(piece, PhaseMark):
            return replace(self._as_it_stands(piece), phase=piece.phase, peak=peak)
        if isinstance(piece, RunFinding):
            return replace(self.info, findings=(*self.info.findings, piece))
        if piece.loss is None:
            return replace(tested(self.info, piece), peak=peak)
        self._pace.add(piece)
        return replace(
            self.info,
            step=piece.step,
            loss=piece.loss,
            eta_s=self._eta_s(piece.step),
            tokens_per_s=self._pace.tokens_per_s,
            peak=peak,
            epoch=piece.epoch or self.info.epoch,
            tokens=self.info.tokens + piece.tokens,
            grad_norm=piece.grad_norm,
            rate=piece.rate,
        )

    def _eta_s(self, step: int) -> float | None:
        left = self._pace.eta_s(step, self.info.steps)
        return None if left is None else left * self.shares

    def _as_it_stands(self, mark: PhaseMark) -> RunInfo:
        if mark.phase == "paused":
            return replace(self.info, state="paused", pause=self.pause_mode or "hold", eta_s=None)
        return replace(self.info, state="running", pause="")

    def expect(self, rate: float) -> None:
        """What the rate of such a run usually is; findings are made by it from now on."""
        self._watcher.expect(rate)

    def look(self) -> None:
        """Tell once where no step comes any more. Called now and then."""
        if self.info.state == "running" and self.info.phase == "train" and not self.pausing.is_set():
            waited = time.monotonic() - self._stepped
            finding = self._watcher.waits(self.info.step, self._pace.step_s, waited)
            if finding is not None:
                self.found(finding)

    def close(self) -> None:
        """Let go of the log and end the memory watch."""
        self.peak.stop()
        self.memory.close()
        holdings.shared.drop(self.info.id)
        self.writer.close()


def known(info: RunInfo, found: Foreseen) -> RunInfo:
    """With what is foreseen in it; what is None stays as it was."""
    told = {name: value for name, value in msgspec.structs.asdict(found).items() if value is not None}
    left = told.pop("left_s", info.eta_s)
    return replace(info, eta_s=left, **told)


def tested(info: RunInfo, point: StepPoint) -> RunInfo:
    """With an evaluation in it, and the best one so far."""
    if point.eval_loss is None:  # it was no number
        return info
    if info.best_eval is None or point.eval_loss < info.best_eval:
        info = replace(info, best_eval=point.eval_loss, best_step=point.step)
    return replace(info, eval_loss=point.eval_loss)
