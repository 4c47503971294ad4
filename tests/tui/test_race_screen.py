"""A race from the train form's line to its table."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from engine.api import commands
from engine.protocol.race import RaceCut, RaceMember
from tests.support.fake_engine import FakeEngine
from tests.support.fake_runs import SPEC, RunDesk, run_info
from tests.tui.desk import NARROW, WIDE, Desk, open_desk

ROWS = (
    ("dora-r8", ("done", "done"), 171, 1.913, 0.012, "best", 3060.0),
    ("lora-r8", ("done", "done"), 171, 1.921, 0.014, "within noise", 2460.0),
    ("lora-r4", ("stopped", "stopped"), 86, 2.204, 0.021, "stopped", 1230.0),
)
SIZES = pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])


def race(**changes: Any) -> commands.RaceInfo:
    """Three settings with two seeds each; the first judgement is made."""
    members = tuple(
        RaceMember(f"{2 * place + seed + 1:04}-pirate-r16", row[0], seed)
        for place, row in enumerate(ROWS)
        for seed in (0, 1)
    )
    cuts = (RaceCut(0.5, ("dora-r8", "lora-r8"), ("lora-r4",)),)
    plain = commands.RaceInfo("race-1", "method=lora,dora r=4,8 seeds=2", members=members, cuts=cuts)
    return replace(plain, **changes)


def table(*, over: bool = True, **changes: Any) -> commands.RaceTable:
    """As `race`, with its numbers."""
    rows = []
    for setting, states, step, loss, spread, verdict, seconds in ROWS:
        if not over and verdict != "stopped":
            states, verdict, step = ("running", "running"), "", 120
        found = commands.RaceRow(setting, ("a", "b"), states, step, 171, loss, spread, verdict)  # type: ignore[arg-type]
        rows.append(
            replace(found, seconds=seconds, memory=7_400_000_000, adapter_bytes=34_000_000, forgetting=0.021)
        )
    return commands.RaceTable(race(**changes), tuple(rows), over=over)


@pytest.fixture
def trainer() -> RunDesk:
    engine = FakeEngine()
    desk = RunDesk(engine)
    asked: list[Any] = []

    def start(command: commands.StartRace) -> commands.RaceInfo:
        asked.append(command)
        for number in range(1, 5):
            spec = replace(SPEC, group="race-1", name=f"pirate-{number}", seed=number % 2)
            desk.tell(run_info(number, spec=spec, name=spec.name))
        return replace(race(), members=race().members[:4])

    engine.answers[commands.StartRace] = start
    engine.answers[commands.ReadRace] = lambda _: table()
    return desk


def sent(desk: RunDesk, kind: type) -> list[Any]:
    return desk.engine.asked(kind)


# --- the line ---------------------------------------------------------------------------------


@SIZES
async def test_the_line_tells_how_many_runs_it_is_and_starts_them(
    trainer: RunDesk, size: tuple[int, int]
) -> None:
    async with open_desk(trainer.engine, size) as desk:
        await desk.press("f4")
        await desk.until("Start")
        await desk.until("171 ")
        await desk.press("alt+r")
        await desk.until("method=lora,dora seeds=2")
        await desk.press(*"r=4,8 seeds=2")
        await desk.until("4 runs · at most about 2 min 32 s · in turns")
        await desk.press("enter")
        text = await desk.until("race-1: 4 runs are on their way. T shows its table.")
        assert "4 selected" in text
        (command,) = sent(trainer, commands.StartRace)
        assert (command.expression, command.turns, command.keep) == ("r=4,8 seeds=2", True, 0.5)
        assert "pirate-1" in text


async def test_a_line_that_makes_no_sense_says_why_and_starts_nothing(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        await desk.press("f4")
        await desk.until("171 ")
        await desk.press("alt+r")
        await desk.until("Say what to vary")
        await desk.press(*"r=4 keep=2")
        await desk.until("This is one run, and a race takes two")
        await desk.press("enter")
        await desk.until("This is one run")
        assert sent(trainer, commands.StartRace) == []


async def test_the_slash_command_opens_form_and_line(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        desk.bench.composer.put("/race r=8,16 queue")
        await desk.press("enter")
        await desk.until("2 runs · about 1 min 16 s · one after another")


async def test_the_line_tells_the_time_once_it_is_known(trainer: RunDesk) -> None:
    at_hand = trainer.engine.hold(commands.EstimateRun)
    async with open_desk(trainer.engine) as desk:
        await desk.say_command("/race r=8,16 queue")
        await desk.until("2 runs · one after another")
        at_hand.set()
        await desk.until("2 runs · about 1 min 16 s · one after another")


# --- the table --------------------------------------------------------------------------------


async def open_table(desk: Desk, trainer: RunDesk) -> str:
    trainer.tell(run_info(1, spec=replace(SPEC, group="race-1")))
    await desk.press("f3")
    await desk.until("pirate-r16")
    await desk.press("T")
    return await desk.until("setting")


@SIZES
async def test_the_table_shows_quality_with_spread_and_what_is_noise(
    trainer: RunDesk, size: tuple[int, int]
) -> None:
    async with open_desk(trainer.engine, size) as desk:
        text = await open_table(desk, trainer)
        for words in ("dora-r8", "1.913 ± 0.012", "best", "within noise", "stopped", "y copy"):
            assert words in text
        assert ("34" in text or "32.4 M" in text) == (size == WIDE)  # the adapter's column has no room


async def test_the_table_is_copied_for_other_programs(
    trainer: RunDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.clipboard.tool", lambda: ())
    async with open_desk(trainer.engine) as desk:
        await open_table(desk, trainer)
        await desk.press("y")
        await desk.until("Copy 3 settings")
        await desk.press("enter")
        await desk.until(lambda: "| dora-r8 | 1.913 ± 0.012 | best" in desk.app.clipboard)


async def test_a_race_under_way_is_paused_and_stopped_as_a_whole(trainer: RunDesk) -> None:
    trainer.engine.answers[commands.ReadRace] = lambda _: table(over=False)
    trainer.engine.answers[commands.PauseRace] = lambda _: race()
    trainer.engine.answers[commands.StopRace] = lambda _: race()
    async with open_desk(trainer.engine) as desk:
        await open_table(desk, trainer)
        await desk.press("p")
        await desk.until(lambda: sent(trainer, commands.PauseRace))
        await desk.press("S")
        await desk.until("Stop all of race-1?")
        await desk.press("enter")
        await desk.until(lambda: sent(trainer, commands.StopRace))
        trainer.engine.answers[commands.ReadRace] = lambda _: table()
        await desk.until("within noise")  # it reads on by itself


async def test_a_run_of_no_race_says_how_one_is_started(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        trainer.tell(run_info(1))
        await desk.press("f3")
        await desk.until("pirate-r16")
        await desk.press("T")
        await desk.until("Alt+R in the form (F4) starts a race.")
