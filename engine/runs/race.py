"""A race under way: members take turns of some steps on the training thread, and losers are stopped."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterable
from functools import partial

import msgspec

from engine.lanes import Lane
from engine.protocol.race import RaceCut, RaceInfo
from engine.protocol.report import RunSample
from engine.protocol.runs import PauseMode, Phase, PhaseMark, RunFinding, RunInfo, StepPoint
from engine.runs import folder, halving, log
from engine.runs.live import LiveRun
from engine.runs.race_book import RaceBook
from engine.training import Foreseen, Member, RunJob, RunOutcome, Trainer

TURN = 10
"""Steps of a turn, where nobody says: moving an adapter to a GPU and back takes far less than these."""
LOOK_SECONDS = 0.05
"""Between two looks at whether a member that stands still may go on."""


class Progress(msgspec.Struct):
    """How far one run has come, as its log has it too."""

    step: int = 0
    steps: int = 0
    seconds: float = 0.0
    """Spent on steps."""
    evals: list[tuple[float, float]] = []
    """(share of the budget, loss)."""

    def add(self, point: StepPoint, budget: float) -> None:
        """`budget`: seconds, or 0 where the steps are."""
        if point.eval_loss is None:
            self.step = point.step
            self.seconds += point.seconds
        else:
            self.evals.append((self.share(budget, point.step), point.eval_loss))

    def share(self, budget: float, step: int | None = None) -> float:
        """Of the budget, from 0 on."""
        taken = self.step if step is None else step
        by_steps = taken / self.steps if self.steps else 0.0
        return max(by_steps, self.seconds / budget) if budget and taken else by_steps


class Seat:
    """The sink of one member: its run's own, but only park is a pause that the training thread sees.

    Whoever holds or yields just gets no turn, so that it does not keep the thread from the others.
    """

    def __init__(self, live: LiveRun, progress: Progress, budget: float) -> None:
        self.live = live
        self.progress = progress
        self.stopped: threading.Event = live.stopped
        self.pausing = threading.Event()
        self._budget = budget

    @property
    def pause_mode(self) -> PauseMode:
        return "park"

    def sized(self, steps: int) -> None:
        self.progress.steps = steps
        self.live.sized(steps)

    def foreseen(self, found: Foreseen) -> None:
        self.live.foreseen(found)

    def phase(self, phase: Phase, step: int = 0) -> PhaseMark:
        return self.live.phase(phase, step)

    def point(self, point: StepPoint) -> None:
        self.live.point(point)
        self.progress.add(point, self._budget)

    def saved(self, step: int, folder: str) -> None:
        self.live.saved(step, folder)

    def sample(self, sample: RunSample) -> None:
        self.live.sample(sample)

    def found(self, finding: RunFinding) -> None:
        self.live.found(finding)

    # --- loop -------------------------------------------------------------------------------

    @property
    def held(self) -> bool:
        """Whether a person lets it stand still, with its memory kept."""
        live = self.live
        return live.pausing.is_set() and live.pause_mode != "park" and not live.stopped.is_set()

    @property
    def leaving(self) -> bool:
        """Whether it ends, or parks, with its next turn."""
        return self.live.stopped.is_set() or (self.live.pausing.is_set() and not self.held)


class Race:
    """One race. Used from the loop's thread; members train by `train`, each in a task of its own."""

    def __init__(self, group: str, book: RaceBook, lane: Lane, disk: Lane) -> None:
        """`lane` trains; `disk` reads and writes small files."""
        self.group = group
        self._book = book
        self._lane = lane
        self._disk = disk
        self._turn = asyncio.Lock()  # it is fair: who waits longest comes next
        self._there: set[str] = set()
        """Members that are in it now, seated or not yet."""
        self._seats: dict[str, Seat] = {}
        self._progress: dict[str, Progress] = {}
        self._settings = {member.run: member.setting for member in self.info.members}
        self._rungs = halving.rungs(len(set(self._settings.values())), self.info.keep)

    @property
    def info(self) -> RaceInfo:
        return self._book.find(self.group)

    @property
    def runs(self) -> tuple[str, ...]:
        """Ids of all members, those too that have ended."""
        return tuple(self._settings)

    async def open(self, known: Iterable[RunInfo]) -> None:
        """Read how far everyone has come. Call once before the first member trains."""
        mine = [info for info in known if info.id in self._settings]
        self._progress = await self._disk.run(_read, mine, self.info.seconds)

    def joins(self, run: str) -> None:
        """A member will train; the others wait for it at the judgements."""
        self._there.add(run)

    async def left(self, run: str) -> None:
        """It trains no more, for now or for good."""
        self._there.discard(run)
        await self._judge()

    async def train(self, trainer: Trainer, job: RunJob, live: LiveRun) -> RunOutcome | None:
        """One member to its end; None when it was stopped or parked before it began."""
        # Only now its log says from which step it goes on.
        progress = await self._disk.run(progress_of, live.info, self.info.seconds)
        self._progress[job.id] = progress
        seat = self._seats[job.id] = Seat(live, progress, self.info.seconds)
        try:
            outcome = await self._in_turns(seat, trainer, job)
        finally:
            self._seats.pop(job.id, None)
        if outcome is not None and outcome.eval_loss is not None and not seat.leaving:
            progress.evals.append((1.0, outcome.eval_loss))  # it may have ended early, by itself
        return outcome

    async def _in_turns(self, seat: Seat, trainer: Trainer, job: RunJob) -> RunOutcome | None:
        member: Member | None = None
        while True:
            await self._stand_by(seat)
            async with self._turn:
                if self._waits(seat):
                    continue
                if seat.leaving:
                    seat.pausing.set()
                    if member is None:
                        return None
                if member is None:
                    member = trainer.member(job, seat, save_on_stop=seat.live.save_on_stop)
                seat.live.shares = max(1, sum(not each.held for each in self._seats.values()))
                turn = partial(member.turn, self.info.turn or TURN, last=self._late(seat))
                outcome = await self._lane.run(turn)
            if outcome is not None:
                return outcome
            await self._judge()

    def _late(self, seat: Seat) -> bool:
        """Whether its seconds are used up."""
        budget = self.info.seconds
        return bool(budget) and seat.progress.seconds >= budget

    # --- who gets no turn -------------------------------------------------------------------

    def _waits(self, seat: Seat) -> bool:
        return not seat.leaving and (seat.held or self._ahead(seat))

    def _ahead(self, seat: Seat) -> bool:
        """Whether it was evaluated for the next judgement, which the others have still to reach."""
        rung = self._rung()
        return rung is not None and halving.at(seat.progress.evals, rung[0]) is not None

    async def _stand_by(self, seat: Seat) -> None:
        """Wait as long as it gets no turn; a member that is held says so."""
        told = False
        while self._waits(seat):
            if seat.held and not told:
                await self._disk.run(seat.phase, "paused", seat.progress.step)
                told = True
            elif told and not seat.held:
                break
            await asyncio.sleep(LOOK_SECONDS)
        if told and not seat.leaving:
            await self._disk.run(seat.phase, "train", seat.progress.step)

    # --- who goes on ------------------------------------------------------------------------

    def _rung(self) -> tuple[float, int] | None:
        """The judgement that comes next: (share of the budget, settings that go on)."""
        place = len(self.info.cuts)
        return self._rungs[place] if place < len(self._rungs) else None

    async def _judge(self) -> None:
        """Stop the losers once everyone has reached the next rung. Nobody waits for who stands still."""
        rung = self._rung()
        if rung is None or not self._there or self._there - self._seats.keys():
            return
        running = [seat for seat in self._seats.values() if not seat.held and not seat.leaving]
        if not running or not all(map(self._ahead, running)):
            return
        share, count = rung
        evals: dict[str, list[halving.Evals]] = {}
        for run, setting in self._settings.items():
            evals.setdefault(setting, []).append(self._progress.get(run, Progress()).evals)
        order = halving.ranked(evals, share)
        cut = RaceCut(share, tuple(order[:count]), tuple(order[count:]))
        for run, seat in self._seats.items():
            if self._settings[run] in cut.stopped and not seat.live.stopped.is_set():
                place = order.index(self._settings[run]) + 1
                seat.found(_lost(seat, place, len(order), count))
                seat.live.stop(save=True)
        # Only now: after a kill in between it is judged again, by the same numbers.
        await self._book.change(self.group, cuts=(*self.info.cuts, cut))


def _lost(seat: Seat, place: int, settings: int, kept: int) -> RunFinding:
    loss = seat.progress.evals[-1][1]
    title = f"The race stopped it: with eval loss {loss:.3f} its setting was number {place} of {settings}"
    return RunFinding("race_lost", seat.progress.step, f"{title}, and {kept} went on")


def progress_of(info: RunInfo, budget: float) -> Progress:
    """How far a run has come by its log. Raises OSError."""
    found = Progress(steps=info.steps)
    since, more = 0, True
    while more:
        page = log.read(folder.log_path(info.id), since=since)
        for point in page.points:
            found.add(point, budget)
        more = page.more and bool(page.points)
        since = page.points[-1].step + 1 if page.points else 0
    if info.state == "done" and found.evals:
        found.evals.append((1.0, found.evals[-1][1]))
    return found


def _read(infos: Iterable[RunInfo], budget: float) -> dict[str, Progress]:
    found = {}
    for info in infos:
        with contextlib.suppress(OSError):  # deleted meanwhile
            found[info.id] = progress_of(info, budget)
    return found
