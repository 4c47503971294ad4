"""Training from the form, the run beside the chat, its adapter, and the runs screen."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from engine.api import ErrorInfo, commands, events
from tests.support.fake_engine import SAMPLE, FakeEngine
from tests.support.fake_runs import RunDesk, adapter, run_info
from tests.tui.desk import NARROW, WIDE, Desk, open_desk
from tui.widgets.run_lines import EVAL

SIZES = pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])


@pytest.fixture
def trainer() -> RunDesk:
    return RunDesk(FakeEngine())


def bells(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Counts the bells from now on."""
    rung: list[str] = []
    monkeypatch.setattr(desk.app, "bell", lambda: rung.append("bell"))
    return rung


# --- beside the chat --------------------------------------------------------------------------


async def test_a_run_moves_beside_the_chat(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        run = trainer.tell(run_info())
        await desk.until("waits for its turn")
        trainer.train(run, 90)
        text = await desk.until("step 90 / 171")
        for words in ("53 %", "24 s left", "loss 0.77", f"{EVAL} eval 0.79", "▶ pirate-r16", "90/171"):
            assert words in text
        assert any(0x2800 < ord(cell) <= 0x28FF for cell in text)


async def test_narrow_the_header_tells_how_far_it_is(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine, NARROW) as desk:
        trainer.train(trainer.tell(run_info()), 90)
        await desk.until("▶ 53 %")
        await desk.press("alt+m")
        await desk.until("step 90 / 171")


async def test_memory_has_the_runs_phases_on_its_axis(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        run = trainer.train(trainer.tell(run_info()), 90)
        for second in range(40):
            at = run.started + second
            trainer.engine.emit(events.Sampled(sample=replace(SAMPLE, at=at)))
        text = await desk.until("peak 858 M in first step")
        (row,) = [line for line in text.split("\n") if "╵" in line]
        assert row.count("╵") > 3


async def test_the_end_rings_the_bell_and_says_which_key_activates_it(
    trainer: RunDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_desk(trainer.engine) as desk:
        rung = bells(desk, monkeypatch)
        run = trainer.train(trainer.tell(run_info()), 171)
        assert rung == []
        trainer.finish(run, adapter(run), adapter=run.id, loss=0.61)
        await desk.until("pirate-r16 is done · loss 0.61 · F8 activates it")
        assert rung == ["bell"]
        text = desk.text()
        assert "○ pirate-r16" in text
        assert "✓ pirate-r16" in text


async def test_a_failed_run_rings_too_and_says_why(trainer: RunDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_desk(trainer.engine) as desk:
        rung = bells(desk, monkeypatch)
        run = trainer.train(trainer.tell(run_info()), 20)
        trainer.tell(
            replace(run, state="failed", ended=9.0, error=ErrorInfo("disk_full", "The disk is full"))
        )
        await desk.until("pirate-r16 failed. The disk is full.")
        assert rung == ["bell"]


async def test_points_that_were_passed_over_come_from_the_log(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        run = trainer.train(trainer.tell(run_info()), 90, told=80)
        curves = desk.bench.state.engine.curves
        await desk.until(lambda: run.id in curves and curves[run.id].whole)
        steps = [dot.step for dot in desk.bench.state.engine.curves[run.id].dots]
        assert steps == list(range(1, 91))


async def test_a_run_that_trains_when_the_screen_opens_is_shown_from_its_first_step() -> None:
    run = run_info(state="running", step=60)
    trainer = RunDesk(FakeEngine(), run)
    trainer.train(run, 60, told=60)
    async with open_desk(trainer.engine) as desk:
        await desk.until(lambda: run.id in desk.bench.state.engine.curves)
        await desk.until(lambda: desk.bench.state.engine.curves[run.id].whole)
        assert desk.bench.state.engine.curves[run.id].dots[0].step == 1
        await desk.until("step 60 / 171")


# --- adapters ---------------------------------------------------------------------------------


async def test_f8_activates_the_newest_that_fits_and_takes_it_off_again(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        await desk.press("f8")
        await desk.until("No adapter fits demo yet. F4 trains one.")
        old, new = adapter(run_info(1), name="old-r8"), adapter(run_info(2))
        trainer.engine.emit(events.AdaptersChanged(adapters=(old, new)))
        await desk.until("○ pirate-r16")
        await desk.press("f8")
        await desk.until("demo + pirate-r16")
        assert "◉ pirate-r16" in desk.text()
        await desk.press("f8")
        await desk.until(lambda: "demo + pirate-r16" not in desk.text())
        assert "pirate-r16 is off." in desk.text()


async def test_in_an_open_chat_the_engine_is_told_and_each_reply_names_its_adapter(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        info = adapter(run_info())
        trainer.engine.emit(events.AdaptersChanged(adapters=(info,)))
        await desk.replied("hi", "Hello")
        await desk.press("f8")
        await desk.until("demo + pirate-r16")
        assert trainer.engine.asked(commands.ChangeChat)[-1].settings.adapter == info.id
        await desk.say("and now?")
        trainer.engine.finish("Arr!", adapter=info.id)
        await desk.until(lambda: desk.text().count("demo + pirate-r16") == 2)


async def test_a_slash_names_an_adapter_and_off_takes_it_off(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        found = (adapter(run_info(1), name="old-r8"), adapter(run_info(2)))
        trainer.engine.emit(events.AdaptersChanged(adapters=found))
        await desk.until("○ old-r8")
        for words, shown in (
            ("old", "old-r8 answers from"),
            ("off", "old-r8 is off."),
            ("x", "No adapter is"),
        ):
            desk.bench.composer.put(f"/adapter {words}")
            desk.bench.composer.action_send()
            await desk.until(shown)


@SIZES
async def test_enter_on_an_adapter_in_the_list_switches_it(trainer: RunDesk, size: tuple[int, int]) -> None:
    async with open_desk(trainer.engine, size) as desk:
        trainer.engine.emit(events.AdaptersChanged(adapters=(adapter(run_info()),)))
        await desk.until(lambda: desk.bench.state.engine.adapters)
        desk.bench.go_to(desk.bench.side)
        await desk.until("○ pirate-r16")
        await desk.press("down", "enter")
        await desk.until("◉ pirate-r16")
        await desk.press("enter")
        await desk.until("○ pirate-r16")


async def test_an_adapter_of_another_model_says_whose_it_is(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        other = adapter(run_info(), base="Qwen/Qwen3-1.7B", name="legal-r16")
        trainer.engine.emit(events.AdaptersChanged(adapters=(other,)))
        await desk.until("○ legal-r16")
        desk.bench.composer.put("/adapter legal-r16")
        desk.bench.composer.action_send()
        text = await desk.until("legal-r16 was trained on Qwen3-1.7B, not on demo.")
        assert "Ctrl+L switches the chat to Qwen3-1.7B." in text


async def test_another_model_takes_the_adapter_off(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        trainer.engine.emit(events.AdaptersChanged(adapters=(adapter(run_info()),)))
        await desk.until("○ pirate-r16")
        await desk.press("f8")
        await desk.until("demo + pirate-r16")
        desk.bench.use_model("Qwen/Qwen3-1.7B")
        await desk.until("pirate-r16 is off: it was trained on another model.")
        assert desk.bench.state.settings().adapter == ""


async def test_going_round_from_screen_to_screen_piles_none_up(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        trainer.tell(run_info(1, state="done", ended=2.0))
        await desk.until("✓ pirate-r16")
        for _ in range(2):
            desk.bench.run_command("runs")  # as from the list of runs everywhere: the form stays below
            await desk.until("── pirate-r16")
            await desk.press("t")
            await desk.until("Train an adapter")
        await desk.press("f5")
        await desk.until(lambda: type(desk.app.screen).__name__ == "Memory")
        await desk.press("f3")
        await desk.until("── pirate-r16")
        names = [type(each).__name__ for each in desk.app.screen_stack]
        assert len(names) == len(set(names)), names
