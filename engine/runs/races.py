"""Races and sweeps as commands: started, paused, stopped and read as a whole, and scored at the end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from engine.data.sweep import label, members, variations
from engine.lanes import Lane
from engine.protocol import commands as c
from engine.protocol.errors import EngineError, fault
from engine.protocol.race import RaceInfo, RaceMember, RaceTable
from engine.protocol.runs import ENDED_STATES, RunInfo
from engine.protocol.training import TrainSpec
from engine.runs import checkpoints, folder, halving, race_file, scorer
from engine.runs.race import progress_of
from engine.runs.race_table import Measured, table
from engine.runs.runner import Runner
from engine.runs.steering import Steering
from engine.shelf import Shelf

AS_GIVEN = "as given"
"""The setting of members that differ in nothing but their seeds."""


class Races:
    """Answers commands about races. Used from the loop's thread."""

    def __init__(self, runner: Runner, steering: Steering, shelf: Shelf, disk: Lane) -> None:
        self._runner = runner
        self._steering = steering
        self._shelf = shelf
        self._disk = disk
        self._book = runner.races
        self._scoring = asyncio.Semaphore(1)
        self._scorers: dict[str, asyncio.Task[None]] = {}
        """By run."""
        runner.ended = self._ended

    def open(self) -> None:
        """Score what a dead engine left unscored. Call once the runs are read."""
        for info in self._runner.infos():
            self._ended(info)

    def close(self) -> None:
        """Scorers under way are killed; the next engine begins them again."""
        for task in self._scorers.values():
            task.cancel()

    @property
    def busy(self) -> bool:
        """Whether an adapter is scored."""
        return bool(self._scorers)

    # --- start ------------------------------------------------------------------------------

    async def start(self, command: c.StartRace) -> RaceInfo:
        """Store all members, then queue them. Refuses what cannot work before anything is stored."""
        halving.checked_keep(command.keep)
        if command.scorer:
            scorer.words_of(command.scorer, command.folder)
        changes = variations(command.expression)
        taken = {info.spec.group for info in self._runner.infos()}
        group = await self._disk.run(lambda: race_file.fresh_name(turns=command.turns, taken=taken))
        specs = members(_named(command.spec), command.expression, group)
        if len(specs) < 2:
            raise fault(
                "sweep_wrong", "This is one run, and a race takes two", remedy="Add a value or a seed"
            )
        found = [await self._runner.fresh(spec) for spec in specs]
        stored = [await self._runner.book.add(info) for info in found]
        race = RaceInfo(
            group,
            command.expression,
            turns=command.turns,
            keep=command.keep if command.turns else 1.0,
            turn=command.turn,
            seconds=command.seconds if command.turns else 0.0,
            scorer=command.scorer,
            folder=command.folder,
            created=time.time(),
            members=tuple(
                RaceMember(info.id, _setting(each), info.spec.seed)
                for info, each in zip(stored, changes, strict=True)
            ),
        )
        await self._book.add(race)
        # At once: the first one would be judged without the others.
        await self._runner.queue.put_all(info.id for info in stored)
        return race

    # --- as a whole -------------------------------------------------------------------------

    async def pause(self, command: c.PauseRace) -> RaceInfo:
        """Every member that has not ended stands still."""
        race = self._book.find(command.group)
        for info in self._unended(race):
            await self._steering.pause(c.PauseRun(info.id, command.mode))
        return race

    async def resume(self, command: c.ResumeRace) -> RaceInfo:
        """Every member that stands still goes on."""
        race = self._book.find(command.group)
        # The last one first: each that had begun goes to the front of the queue.
        for info in reversed(self._unended(race)):
            if info.state == "paused" or self._runner.live(info.id) is not None:
                await self._steering.resume(c.ResumeRun(info.id))
        return race

    async def stop(self, command: c.StopRace) -> RaceInfo:
        """Every member that has not ended ends; those that wait first, so that none begins meanwhile."""
        race = self._book.find(command.group)
        unended = self._unended(race)
        for info in sorted(unended, key=lambda info: info.state == "running"):
            with contextlib.suppress(EngineError):  # it has just ended
                await self._runner.stop(c.StopRun(info.id, save=command.save))
        return race

    async def read(self, command: c.ReadRace) -> RaceTable:
        """What came of it so far."""
        race = self._book.find(command.group)
        infos = self._infos(race)
        measured = await self._disk.run(_measured, infos, race.seconds)
        return table(race, {info.id: info for info in infos}, measured)

    def _infos(self, race: RaceInfo) -> list[RunInfo]:
        """Of those members that are not deleted."""
        mine = {member.run for member in race.members}
        return sorted((info for info in self._runner.infos() if info.id in mine), key=lambda info: info.id)

    def _unended(self, race: RaceInfo) -> list[RunInfo]:
        return [info for info in self._infos(race) if info.state not in ENDED_STATES]

    # --- scores -----------------------------------------------------------------------------

    def _ended(self, info: RunInfo) -> None:
        race = self._book.of(info.spec.group)
        if race is None or not race.scorer or info.state not in ENDED_STATES:
            return
        if not (info.adapter or info.whole) or info.id in race.scores or info.id in self._scorers:
            return
        if info.id in {member.run for member in race.members}:
            self._scorers[info.id] = asyncio.create_task(self._score(info, race))

    async def _score(self, info: RunInfo, race: RaceInfo) -> None:
        model = self._shelf.known(info.spec.model)
        adapter = info.whole or str(folder.folder(info.id) / folder.ADAPTER)
        try:
            async with self._scoring:
                base = model.path if model is not None else ""
                said = await scorer.score(race.scorer, race.folder, adapter, base, info.id)
            now = self._book.find(race.group)
            await self._book.change(race.group, scores=now.scores | {info.id: said})
            self._runner.book.tell(self._runner.book.find(info.id))  # who watches reads the table again
        except EngineError:  # the run was deleted meanwhile
            pass
        finally:
            self._scorers.pop(info.id, None)


def _named(spec: TrainSpec) -> TrainSpec:
    """Members need a name that says what they learn."""
    data = spec.data.removeprefix("shipped:").rstrip("/:").rpartition("/")[2].rpartition(":")[2]
    return spec if spec.name else replace(spec, name=data.partition(".")[0] or "race")


def _setting(changes: dict[str, object]) -> str:
    return label({key: value for key, value in changes.items() if key != "seed"}) or AS_GIVEN


def _measured(infos: Sequence[RunInfo], budget: float) -> dict[str, Measured]:
    """What the folders tell. Reads files."""
    found = {}
    for info in infos:
        with contextlib.suppress(OSError):
            seconds = progress_of(info, budget).seconds or None
            place = Path(info.whole) if info.whole else folder.folder(info.id) / folder.ADAPTER
            size = checkpoints.size_of(place) if place.is_dir() else 0
            found[info.id] = Measured(seconds, size)
    return found
