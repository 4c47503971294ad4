"""Serving to other programs, how fast the models answer, and what is kept free: on the screen."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from engine.api import commands, events, specs
from tests.support.fake_engine import DEMO, REAL, FakeEngine, snapshot
from tests.tui.desk import NARROW, WIDE, Desk, open_desk
from tui.modals.serving import ServingDialog, StartServingDialog, shell_lines, token_of
from tui.screens.models import Models

TOKEN = "AbCdEf0123456789-_token"


@pytest.fixture(autouse=True)
def a_steady_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.models.bandwidth.memory_bandwidth", lambda: 30e9)


@pytest.fixture
def info(tmp_path: Path) -> commands.ServingInfo:
    file = tmp_path / "it's a folder" / "serve.token"
    file.parent.mkdir()
    file.write_text(f"{TOKEN}\n")
    return commands.ServingInfo("http://127.0.0.1:8123/v1", 8123, "demo", token_file=str(file))


def serving(info: commands.ServingInfo, **changes: object) -> FakeEngine:
    engine = FakeEngine(snapshot(**changes))

    def start(_: commands.StartServing) -> commands.ServingInfo:
        engine.emit(events.ServingChanged(info))
        return info

    def stop(_: commands.StopServing) -> commands.ServingState:
        engine.emit(events.ServingChanged(None))
        return commands.ServingState(info)

    engine.answers |= {commands.StartServing: start, commands.StopServing: stop}
    return engine


async def open_serving(desk: Desk) -> None:
    await desk.say_command("/serve")
    await desk.until(lambda: isinstance(desk.app.screen, StartServingDialog | ServingDialog))


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])
async def test_it_is_started_shown_and_stopped(size: tuple[int, int], info: commands.ServingInfo) -> None:
    engine = serving(info)
    async with open_desk(engine, size) as desk:
        await open_serving(desk)
        assert engine.asked(commands.StartServing) == []
        await desk.press("enter")
        text = await desk.until("shown this once")
        assert TOKEN in text
        assert "http://127.0.0.1:8123/v1" in text
        assert engine.asked(commands.StartServing)[0] == commands.StartServing(8123, "demo")
        engine.emit(events.ServingChanged(msgspec.structs.replace(info, requests=3, active=1)))
        await desk.until("3 requests answered, 1 under way")
        await desk.press("escape")
        assert "serving :8123" in await desk.until("serving")
        await desk.press("ctrl+p", *"serve to", "enter")
        text = await desk.until("kept for you")
        assert TOKEN not in text
        await desk.press("s")
        await desk.until("cannot ask any more")
        await desk.until(lambda: "serving :8123" not in desk.text())


async def test_the_token_is_copied_by_a_key_and_stands_in_no_line_that_is_said(
    info: commands.ServingInfo,
) -> None:
    engine = serving(info, serving=info)
    async with open_desk(engine) as desk:
        await open_serving(desk)
        await desk.press("t")
        text = await desk.until(f"the token ({len(TOKEN)} characters)")
        assert TOKEN not in text
        assert desk.app.clipboard == TOKEN
        await desk.press("u")
        await desk.until("the lines for a shell")
        assert desk.app.clipboard == "\n".join(shell_lines(info)) + "\n"
        assert TOKEN not in desk.app.clipboard


async def test_a_token_that_was_given_is_known_to_nobody_here(info: commands.ServingInfo) -> None:
    given = msgspec.structs.replace(info, token="given", token_file="")  # noqa: S106 - where it comes from
    async with open_desk(serving(given, serving=given)) as desk:
        await open_serving(desk)
        await desk.until("the one that was given at the start")
        await desk.press("t")
        await desk.until("known to nobody here")
        desk.engine.emit(events.ServingChanged(None))
        await desk.until(lambda: desk.app.screen is desk.bench)


async def test_bad_ports_and_refusals_are_told(info: commands.ServingInfo) -> None:
    engine = serving(info)
    engine.refuse(commands.StartServing, "port_taken", "Port 9000 is taken", "Another program listens there")
    async with open_desk(engine) as desk:
        await open_serving(desk)
        await desk.press(*["backspace"] * 4, "enter")
        await desk.until("A port is a number")
        await desk.press(*"9000x", "enter")
        await desk.until("Another program listens there")
        assert engine.asked(commands.StartServing)[0].port == 9000
        assert "serving :" not in desk.text()


async def test_what_a_server_answers_is_not_served_again(info: commands.ServingInfo) -> None:
    far = specs.ModelInfo("box/big", "big", "server", "server", "http://box/v1", state="ready")
    async with open_desk(serving(info, models=(DEMO, far))) as desk:
        desk.bench.use_model(far.id)
        await desk.until("big · box")
        await desk.say_command("/serve")
        await desk.until("big is served by box already")
        await desk.say_command("/serve stop")
        await desk.until("Nothing is served")


def test_a_token_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    gone = commands.ServingInfo("http://127.0.0.1:1/v1", 1, "demo", token_file=str(tmp_path / "no"))
    assert token_of(gone) == ""


# --- health ---------------------------------------------------------------------------------

SLOW = commands.Finding(
    "speed", "slow", "12.0 tok/s against 30.1 at best", "A run trains now", "Wait for its end"
)
HEALTH = (
    commands.ModelHealth(
        REAL.id, REAL.name, "", "bfloat16", "cpu", 2, 10, 42, 1.0, 12.0, 30.1, 900.0, 700.0, 3 << 30,
        findings=(SLOW,), tip="As int4 it was 2.4 times as fast here",
    ),
    commands.ModelHealth(REAL.id, REAL.name, "int4", "", "cpu", 2, 1, 1, 1.0, 29.0, 29.0, 640.0),
)  # fmt: skip


async def test_the_details_of_a_model_tell_its_averages_by_form_and_what_is_slow() -> None:
    engine = FakeEngine()
    engine.answers[commands.ReadHealth] = lambda _: commands.HealthReport(HEALTH)
    async with open_desk(engine) as desk:
        await desk.press("f2")
        await desk.until(lambda: isinstance(desk.app.screen, Models) and desk.app.screen.known.health)
        screen = desk.app.screen
        assert isinstance(screen, Models)
        screen.table.cursor = f"here:{REAL.id}"
        screen.draw()
        text = await desk.until("12.0 tok/s · first token 900 ms")
        assert "29.0 tok/s · first token 640 ms" in text
        assert "against 30.1 at best" in text
        assert "As int4 it was 2.4 times" in text
        row = screen.table.row
        assert row is not None
        assert row.speed == 12.0
        screen.action_model_quant()
        screen.action_model_quant()
        packed = screen.table.row
        assert packed is not None
        assert (packed.quant, packed.speed) == ("int4", 29.0)


async def test_slash_health_lists_every_model_and_says_so_where_there_is_nothing() -> None:
    engine = FakeEngine()
    engine.answers[commands.ReadHealth] = lambda _: commands.HealthReport(HEALTH)
    async with open_desk(engine, NARROW) as desk:
        await desk.say_command("/health")
        text = await desk.until("How fast it answers here")
        assert "bf16" in text
        assert "one reply" in text
        assert "A run trains now" in text
        await desk.press("escape")
        engine.answers[commands.ReadHealth] = lambda _: commands.HealthReport(())
        await desk.say_command("/health demo")
        await desk.until("No reply has been measured yet")
        assert engine.asked(commands.ReadHealth)[-1].model == "demo"
        await desk.press("escape")
        engine.refuse(commands.ReadHealth, "model_not_found", "No model is called x", "", "F2 lists them")
        await desk.say_command("/health x")
        await desk.until("No model is called x")


# --- what is kept free ----------------------------------------------------------------------


async def test_f_changes_what_is_kept_free_and_an_empty_field_leaves_it_to_the_machine() -> None:
    engine = FakeEngine()

    def keep(command: commands.KeepFree) -> specs.FitRules:
        rules = specs.FitRules(None if command.gib is None else round(command.gib * 2**30))
        assert engine.welcome.snapshot.engine is not None
        engine.emit(events.EngineChanged(msgspec.structs.replace(engine.welcome.snapshot.engine, fit=rules)))
        return rules

    engine.answers[commands.KeepFree] = keep
    async with open_desk(engine) as desk:
        await desk.press("f2")
        await desk.until("kept free 1.5 G")
        await desk.press("f", *"lots", "enter")
        await desk.until("Write a number of GiB")
        await desk.press(*["backspace"] * 4, *"4,5", "enter")
        await desk.until("kept free 4.5 G")
        assert engine.asked(commands.KeepFree) == [commands.KeepFree(4.5)]
        await desk.press("f", *["backspace"] * 4, "enter")
        await desk.until("kept free 1.5 G")
        assert engine.asked(commands.KeepFree)[-1].gib is None
        engine.answers[commands.KeepFree] = lambda _: None
        engine.refuse(commands.KeepFree, "settings_unsaved", "The settings could not be saved", "Disk full")
        await desk.press("f", "2", "enter")
        await desk.until("Disk full")


def test_a_finding_is_one_line() -> None:
    from tui.health_words import finding

    assert finding(SLOW) == ("slow", "12.0 tok/s against 30.1 at best. A run trains now. Wait for its end.")
