"""Members take turns, losers are stopped by their evaluations, and a race survives its engine."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from engine.protocol import commands as c
from engine.protocol.errors import EngineError
from engine.protocol.race import RaceInfo
from engine.runs.races import Races
from engine.training import RunJob
from tests.unit.test_runs_runner import SPEC, Bench, until


@pytest.fixture(autouse=True)
def models(home: Path) -> None:
    from engine.models.folders import add_folder
    from tests.support.model_folders import model_folder

    model_folder(home / "models" / "base", seed=1)
    add_folder(home / "models")


class RaceBench(Bench):
    """A runner with the commands about races."""

    def __init__(self) -> None:
        super().__init__()
        self.races = Races(self.runner, self.steering, self.shelf, self.lanes[2])

    async def race(self, expression: str, steps: int = 40, **options: Any) -> RaceInfo:
        return await self.races.start(c.StartRace(replace(SPEC, steps=steps), expression, **options))

    async def over(self, race: RaceInfo) -> c.RaceTable:
        await until(lambda: all(self.info(each.run).state in ENDED for each in race.members))
        return await self.races.read(c.ReadRace(race.group))


ENDED = ("done", "failed", "stopped")


@asynccontextmanager
async def opened() -> AsyncIterator[RaceBench]:
    bench = RaceBench()
    await bench.shelf.refresh()
    await bench.runner.open()
    bench.races.open()
    try:
        yield bench
    finally:
        bench.trainer.go.set()
        bench.races.close()
        await bench.close()


def by_rank(job: RunJob, step: int) -> float:
    """The smaller the rank, the better."""
    return job.spec.rank / 10 + job.spec.seed / 100


async def test_members_take_turns_of_so_many_steps() -> None:
    async with opened() as bench:
        race = await bench.race("r=4,8 seeds=2", turn=5, keep=1.0, steps=20)
        table = await bench.over(race)
        assert [len(bench.trainer.turns), len(race.members)] == [16, 4]
        names = [name for name, _ in bench.trainer.turns]
        assert {names.count(name) for name in names} == {4}
        assert len(set(names[4:8])) >= 3, "one has the thread for itself"  # the last may sit down late
        assert {info.spec.group for info in bench.runner.infos()} == {race.group} == {"race-1"}
        assert {info.state for info in bench.runner.infos()} == {"done"}
        assert (table.over, [row.setting for row in table.rows]) == (True, ["r4", "r8"])


async def test_losers_are_stopped_by_halves_with_the_reason_and_seeds_count_together() -> None:
    async with opened() as bench:
        bench.trainer.loss = by_rank
        race = await bench.race("r=32,4,16,8 seeds=2")
        table = await bench.over(race)
        assert [row.setting for row in table.rows] == ["r4", "r8", "r16", "r32"]
        assert [row.verdict for row in table.rows] == ["best", "stopped", "stopped", "stopped"]
        # Of 40 steps 2 settings go on after a quarter, 1 after a half.
        assert [row.step for row in table.rows] == [40, 20, 10, 10]
        assert [cut.kept for cut in table.race.cuts] == [("r4", "r8"), ("r4",)]
        loser = bench.info(table.rows[-1].runs[0])
        assert (loser.state, loser.adapter) == ("stopped", loser.id)
        [finding] = [each for each in loser.findings if each.code == "race_lost"]
        assert "number 4 of 4, and 2 went on" in finding.title


async def test_a_sweep_runs_one_after_another_and_stops_nobody() -> None:
    async with opened() as bench:
        bench.trainer.go.clear()
        race = await bench.race("lr=1e-4..4e-4/3", turns=False, steps=10)
        await until(lambda: bench.info(race.members[0].run).state == "running")
        assert [bench.info(each.run).place for each in race.members] == [0, 1, 2]
        bench.trainer.go.set()
        table = await bench.over(race)
        assert (race.group, bench.trainer.turns, {row.states for row in table.rows}) == (
            "sweep-1",
            [],
            {("done",)},
        )


async def test_one_member_stands_still_while_the_others_go_on() -> None:
    async with opened() as bench:
        held: list[str] = []

        def at_step(job: RunJob, sink: Any, step: int) -> None:
            if step == 3 and job.spec.rank == 8 and not held:
                held.append(job.id)
                live = bench.runner.live(job.id)
                assert live is not None
                live.pause("hold")

        bench.trainer.at_step = at_step
        race = await bench.race("r=4,8", keep=1.0)
        await until(lambda: bench.info(race.members[0].run).state == "done")
        await until(lambda: bench.info(race.members[1].run).state == "paused")
        await bench.races.resume(c.ResumeRace(race.group))
        assert {row.states for row in (await bench.over(race)).rows} == {("done",)}


async def test_a_race_is_paused_and_stopped_as_a_whole() -> None:
    async with opened() as bench:
        bench.trainer.at_step = lambda job, sink, step: sink.stopped.wait(0.005)
        race = await bench.race("r=4,8", steps=4000, keep=1.0)
        await until(lambda: all(bench.info(each.run).step for each in race.members))
        await bench.races.pause(c.PauseRace(race.group))
        await until(lambda: all(bench.info(each.run).state == "paused" for each in race.members))
        await bench.races.stop(c.StopRace(race.group))
        table = await bench.over(race)
        assert {row.states for row in table.rows} == {("stopped",)}


async def test_a_race_goes_on_with_the_next_engine() -> None:
    async with opened() as bench:
        bench.trainer.loss = by_rank
        bench.trainer.at_step = lambda job, sink, step: sink.stopped.wait(0.005 if step > 10 else 0)
        race = await bench.race("r=16,4,8,32", keep=0.5)
        await until(lambda: bench.runner.races.find(race.group).cuts)
    async with opened() as bench:
        bench.trainer.loss = by_rank
        table = await bench.over(race)
        assert [row.setting for row in table.rows][0] == "r4"
        assert [len(cut.kept) for cut in table.race.cuts] == [2, 1]
        assert {job.spec.rank for job in bench.trainer.jobs} == {4, 8}
        assert all(job.checkpoint for job in bench.trainer.jobs)
        assert bench.info(table.rows[0].runs[0]).state == "done"


async def test_who_has_used_up_its_seconds_ends_as_a_whole_run() -> None:
    async with opened() as bench:
        race = await bench.race("r=4,8", steps=1000, seconds=0.25, keep=1.0)
        table = await bench.over(race)
        assert [row.states for row in table.rows] == [("done",), ("done",)]
        assert all(25 <= row.step < 60 for row in table.rows)


async def test_another_run_may_come_first_and_the_race_follows() -> None:
    async with opened() as bench:
        bench.trainer.at_step = lambda job, sink, step: sink.stopped.wait(0.005)
        race = await bench.race("r=4,8", keep=1.0)
        await until(lambda: all(bench.info(each.run).step for each in race.members))
        urgent = await bench.start(name="urgent", steps=5)
        await bench.steering.now(c.RunNow(urgent.id))
        assert (await bench.ended(urgent.id)).state == "done"
        assert {bench.info(each.run).state for each in race.members} <= {"queued", "running"}
        bench.trainer.at_step = lambda job, sink, step: None
        table = await bench.over(race)
        assert {row.states for row in table.rows} == {("done",)}


async def test_a_scorer_gives_every_adapter_a_number_or_says_why_not(tmp_path: Path) -> None:
    script = tmp_path / "score.py"
    script.write_text(
        "import os, sys, pathlib\n"
        "assert os.environ['QWILL_ADAPTER'] == sys.argv[1] and pathlib.Path(sys.argv[2]).is_dir()\n"
        "sys.exit('no luck') if 'r8' in os.environ['QWILL_RUN'] else print('score: 0.75')\n"
    )
    async with opened() as bench:
        command = f"{sys.executable} score.py"
        race = await bench.race("r=4,8", keep=1.0, steps=10, scorer=command, folder=str(tmp_path))
        await bench.over(race)
        await until(lambda: len(bench.runner.races.find(race.group).scores) == 2)
        table = await bench.races.read(c.ReadRace(""))
        told = {row.setting: (row.score, row.unscored) for row in table.rows}
        assert told == {"r4": (0.75, ""), "r8": (None, "it ended with 1: no luck")}
        assert table.over


@pytest.mark.parametrize(
    ("expression", "options", "code"),
    [
        ("r=4", {}, "sweep_wrong"),
        ("nonsense", {}, "sweep_wrong"),
        ("r=4,8", {"keep": 0.0}, "race_wrong"),
        ("r=4,8", {"scorer": "no-such-command-here"}, "scorer_wrong"),
        ("r=4,8", {"scorer": "'"}, "scorer_wrong"),
    ],
)
async def test_what_cannot_be_a_race_stores_nothing(
    expression: str, options: dict[str, Any], code: str
) -> None:
    async with opened() as bench:
        with pytest.raises(EngineError) as caught:
            await bench.race(expression, **options)
        assert caught.value.info.code == code
        assert bench.runner.infos() == ()
        with pytest.raises(EngineError, match="no race"):
            await bench.races.read(c.ReadRace())
