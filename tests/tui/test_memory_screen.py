"""Memory (F5): the pools, the time axis, a run over another, and the word when memory gets short."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from engine.api import ErrorInfo, commands, events, runs
from tests.support.fake_engine import DEMO, REAL, SAMPLE, FakeEngine, snapshot
from tests.support.fake_memory import START, G, keeps_records, record, sample, short
from tests.support.fake_runs import SPEC, RunDesk, run_info
from tests.support.snapshot import check
from tests.tui.desk import NARROW, TINY, WIDE, Desk, open_desk
from tui.screens.memory import Memory
from tui.screens.runs import Runs

FULL = run_info(
    1, name="legal-full", state="done", phase="end", started=START, ended=START + 180, peak=int(31.8 * G)
)
NF4 = run_info(
    2,
    name="legal-nf4",
    state="done",
    phase="end",
    started=START + 200,
    ended=START + 380,
    peak=int(7.9 * G),
    spec=replace(SPEC, method="qlora", quant="nf4"),
)
GOING = run_info(3, name="legal-r16", state="running", phase="train", started=START, step=80, loss=1.82)
PAGES = {
    "": record(START, 5.5, 170),
    FULL.id: record(START, 28.3, 180),
    NF4.id: record(START + 200, 7.0, 180),
}
SIZES = pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])


@pytest.fixture(autouse=True)
def by_the_same_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.widgets.memory_chart._time_of_day", lambda at: "13:46:40")
    monkeypatch.setattr("tui.modals.memory_lists.clock", lambda at: "13:46")


def machine(*shown: runs.RunInfo, keeps: bool = True) -> FakeEngine:
    """The mini-PC with these runs; an engine of yesterday keeps no records."""
    engine = FakeEngine(snapshot(monitor=sample(START + 170, 5.5) if keeps else SAMPLE))
    RunDesk(engine, *shown)
    if keeps:
        keeps_records(engine, PAGES)
    else:
        engine.refuse(commands.ReadMemory, "unknown", "The engine does not know this command")
    return engine


def told(desk: Desk, *seconds: int) -> None:
    """Samples at these seconds."""
    for second in seconds:
        desk.engine.emit(events.Sampled(sample=sample(START + second, 5.5)))


def screen(desk: Desk) -> Memory:
    assert isinstance(desk.app.screen, Memory)
    return desk.app.screen


async def opened(desk: Desk) -> Memory:
    """Press F5 and wait until its record is there."""
    await desk.press("f5")
    await desk.until(lambda: isinstance(desk.app.screen, Memory) and screen(desk).facts.size.width)
    await desk.until(lambda: screen(desk).view.tracks and screen(desk).view.tracks[0].points)
    await desk.pilot.pause()
    return screen(desk)


# --- what is shown ------------------------------------------------------------------------------


@SIZES
async def test_f5_shows_where_every_byte_is_and_closes_again(size: tuple[int, int]) -> None:
    async with open_desk(machine(), size) as desk:
        await opened(desk)
        shown = await desk.until("HELD BY")
        for words in (
            "780M, RAM lent to the GPU",
            "measured",
            "set aside by the firmware",
            "── memory 5.5 G",
        ):
            assert words in shown
        assert ("tokens/s" in shown) is (size == WIDE)
        check(f"memory-{size[0]}x{size[1]}", shown)
        await desk.press("f5")
        await desk.until(lambda: desk.app.screen is desk.bench)
        await opened(desk)
        await desk.press("escape")
        await desk.until(lambda: desk.app.screen is desk.bench)


async def test_samples_are_appended_and_move_little() -> None:
    async with open_desk(machine()) as desk:
        await opened(desk)
        before = desk.text()
        told(desk, 171)
        await desk.until(lambda: screen(desk).view.tracks[0].end == START + 171)
        await desk.pilot.pause()
        changed = sum(one != other for one, other in zip(before, desk.text(), strict=True))
        assert changed < 60


async def test_an_older_engine_shows_what_this_screen_has_seen() -> None:
    async with open_desk(machine(keeps=False)) as desk:
        for second in range(1, 30):
            desk.engine.emit(events.Sampled(sample=replace(SAMPLE, at=START + second)))
        await opened(desk)
        shown = await desk.until("● RAM")
        assert "memory 610 M" in shown
        assert "does not know" not in shown


async def test_what_went_by_while_the_link_was_lost_is_read() -> None:
    async with open_desk(machine()) as desk:
        await opened(desk)
        asked = len(desk.engine.asked(commands.ReadMemory))
        desk.engine.lose()
        await desk.until(lambda: desk.bench.state.engine.link == "lost")
        await desk.press("f9")
        await desk.until(lambda: desk.bench.state.engine.link == "open")
        await desk.until(lambda: len(desk.engine.asked(commands.ReadMemory)) > asked)


async def test_w_says_where_each_number_comes_from() -> None:
    async with open_desk(machine()) as desk:
        await opened(desk)
        assert "mem_info_gtt_used" not in desk.text()
        await desk.press("w")
        shown = await desk.until("mem_info_gtt_used")
        assert "/proc/meminfo" in shown


async def test_help_explains_shared_memory_on_this_machine() -> None:
    async with open_desk(machine()) as desk:
        await opened(desk)
        await desk.press("f1")
        await desk.until("In memory")
        await desk.until("“shared memory” means on this machine")
        await desk.until("RAM that the driver lends")


# --- the time axis --------------------------------------------------------------------------------


async def test_the_crosshair_reads_memory_speed_and_loss() -> None:
    async with open_desk(machine(FULL)) as desk:
        desk.bench.run_command("show_memory", FULL.name)
        await desk.until("peak 32.1 G in eval")
        assert "legal-full ·" in desk.text()
        await desk.press("left", "left", "left")
        shown = await desk.until("┆")
        assert "2 min" in shown
        await desk.press("plus", "plus")
        await desk.until("zoom 4×")
        await desk.press("comma", "0")
        shown = await desk.until(
            lambda: "zoom" not in desk.text().split("r run")[0] and "┆" not in desk.text()
        )


async def test_a_page_for_the_charts_and_back() -> None:
    async with open_desk(machine(), NARROW) as desk:
        await opened(desk)
        assert "HELD BY" in desk.text()
        await desk.press("enter")
        await desk.until(lambda: "HELD BY" not in desk.text() and "tokens/s" in desk.text())
        await desk.press("escape")
        await desk.until("HELD BY")


@pytest.mark.parametrize("size", [NARROW, TINY], ids=["80x24", "40x12"])
async def test_what_has_no_room_is_reached_by_scrolling(size: tuple[int, int]) -> None:
    async with open_desk(machine(), size) as desk:
        await opened(desk)
        assert "more" in desk.text()
        for _ in range(6):
            await desk.press("pagedown")
        shown = await desk.until("/dev/shm")
        assert max(map(len, shown.split("\n"))) <= size[0]
        for _ in range(6):
            await desk.press("pageup")
        await desk.until("POOLS")


# --- two runs -------------------------------------------------------------------------------------


async def test_full_precision_against_4_bits() -> None:
    async with open_desk(machine(FULL, NF4)) as desk:
        await opened(desk)
        await desk.press("v")
        await desk.until("Lay over it")
        await desk.press(*"nf4", "enter")
        shown = await desk.until("b held 4.0 times less")
        assert "a legal-full" in shown
        assert "b legal-nf4" in shown
        assert shown.count("PEAKS BY PHASE") == 1
        check("memory-overlay-120x40", shown)
        await desk.press("escape")
        await desk.until(lambda: "times less" not in desk.text())


async def test_there_is_nothing_to_lay_over_without_runs() -> None:
    async with open_desk(machine()) as desk:
        await opened(desk)
        await desk.press("v")
        await desk.until("There is no other run")


async def test_r_shows_a_run_and_the_engine_again() -> None:
    async with open_desk(machine(FULL)) as desk:
        await opened(desk)
        await desk.press("r")
        await desk.until("Whose memory")
        await desk.press("down", "enter")
        await desk.until("PEAKS BY PHASE · legal-full")
        await desk.press("r", "enter")
        await desk.until(lambda: screen(desk).shown == "")


# --- what makes room ------------------------------------------------------------------------------


async def test_p_pauses_the_run_and_u_unloads_a_model() -> None:
    async with open_desk(machine(GOING)) as desk:
        await opened(desk)
        await desk.press("p")
        await desk.until("Pause legal-r16")
        await desk.press("enter")
        await desk.until(lambda: desk.engine.asked(commands.PauseRun))
        await desk.press("u")
        await desk.until(lambda: desk.engine.asked(commands.UnloadModel))


async def test_of_several_models_one_is_chosen() -> None:
    engine = FakeEngine(snapshot(models=(DEMO, replace(REAL, state="ready", memory=3 * G)), monitor=sample()))
    keeps_records(engine, PAGES)
    async with open_desk(engine) as desk:
        await opened(desk)
        await desk.press("u")
        await desk.until("Unload")
        await desk.press(*"1.7", "enter")
        await desk.until(lambda: desk.engine.asked(commands.UnloadModel))
        assert desk.engine.asked(commands.UnloadModel)[0].model == REAL.id


# --- the pane, and the word when memory is short --------------------------------------------------


async def test_the_pane_goes_and_comes_back() -> None:
    async with open_desk(machine()) as desk:
        await desk.until("780M, RAM lent to GPU")
        await desk.press("alt+m")
        await desk.until(lambda: "780M" not in desk.text())
        await desk.say_command("/pane")
        await desk.until("780M, RAM lent to GPU")


async def test_a_shortage_is_said_once_with_a_key_and_taken_back() -> None:
    async with open_desk(machine(GOING)) as desk:
        desk.engine.emit(events.Sampled(sample=short("warn", "Swap grew by 300 MiB in ten seconds")))
        desk.engine.emit(events.Notice("warning", ErrorInfo("memory_short", "Swap grew", "", "Close others")))
        shown = await desk.until("F5, then p pauses the run.")
        assert "Swap grew by 300 MiB in ten seconds." in shown
        assert "! memory short" in shown.split("\n")[0]
        desk.bench.say("Something else.")
        desk.engine.emit(events.Sampled(sample=short("warn", "Swap grew by 400 MiB in ten seconds.")))
        await desk.until("400 MiB")
        assert "F5, then" not in desk.text()
        desk.engine.emit(events.Sampled(sample=short("critical", "Memory runs out.")))
        await desk.until("Memory runs out. F5, then p")
        desk.engine.emit(events.Sampled(sample=sample()))
        await desk.until(lambda: "runs out" not in desk.text() and "! memory" not in desk.text())


async def test_without_a_run_a_model_can_be_let_go() -> None:
    async with open_desk(machine()) as desk:
        await opened(desk)
        desk.engine.emit(events.Sampled(sample=short("warn", "Programs wait for memory.")))
        await desk.until("Programs wait for memory. F5, then u unloads a model.")
        assert "! short" in desk.text()
        desk.engine.emit(events.Sampled(sample=sample()))
        await desk.until(lambda: "Programs wait" not in desk.text())


async def test_from_the_runs_it_shows_the_one_under_the_cursor() -> None:
    async with open_desk(machine(FULL, NF4)) as desk:
        desk.bench.run_command("runs", FULL.name)
        await desk.until(lambda: isinstance(desk.app.screen, Runs))
        runs_screen = desk.app.screen
        assert isinstance(runs_screen, Runs)
        await desk.until(lambda: runs_screen.table.run)
        under = runs_screen.table.run
        assert under is not None
        await desk.press("f5")
        await desk.until(lambda: isinstance(desk.app.screen, Memory) and screen(desk).shown == under.id)
