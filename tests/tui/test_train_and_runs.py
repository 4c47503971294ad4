"""Training from the form, the run beside the chat, its adapter, and the runs screen."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from engine.api import ErrorInfo, commands, events, runs
from tests.support.fake_engine import DEMO, SAMPLE, FakeEngine
from tests.support.fake_runs import REPORT, RunDesk, adapter, run_info
from tests.tui.desk import NARROW, TINY, WIDE, Desk, open_desk
from tui.screens.runs import Runs
from tui.screens.train import Train
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


# --- the form ---------------------------------------------------------------------------------


@SIZES
async def test_f4_is_filled_in_and_ctrl_s_starts_at_once(trainer: RunDesk, size: tuple[int, int]) -> None:
    async with open_desk(trainer.engine, size) as desk:
        await desk.press("f4", "ctrl+s")
        await desk.until(lambda: trainer.engine.asked(commands.StartRun))
        spec = trainer.engine.asked(commands.StartRun)[0].spec
        assert (spec.model, spec.data, spec.rank) == ("demo", "shipped:pirate", 16)
        await desk.until("pirate-r16 is on its way.")
        assert "Ctrl+Z undoes it." in desk.text()


@SIZES
async def test_the_form_tells_what_the_data_is_and_what_the_run_takes(
    trainer: RunDesk, size: tuple[int, int]
) -> None:
    async with open_desk(trainer.engine, size) as desk:
        await desk.press("f4")
        text = await desk.until("17.6 M more, of 8.4 G free")
        for words in ("fits", "240 chats", "171 steps", "about 38 s", "share its weights", "Start"):
            assert words in text
        await desk.press("enter")
        await desk.until("is on its way")


async def test_in_a_tiny_terminal_the_form_can_be_started(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine, TINY) as desk:
        await desk.press("f4")
        text = await desk.until("shipped:pirate")
        assert max(map(len, text.split("\n"))) <= 40
        await desk.press("ctrl+s")
        await desk.until("is on its way")


async def test_a_number_that_makes_no_sense_is_told_at_its_field_and_starts_nothing(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        await desk.press("f4")
        await desk.until("fits")
        desk.app.screen.text_fields["rank"].value = "0"
        await desk.until("Rank takes a whole number of at least 1.")
        await desk.press("ctrl+s")
        await desk.pilot.pause()
        assert trainer.engine.asked(commands.StartRun) == []
        assert desk.app.focused is desk.app.screen.text_fields["rank"]


async def test_a_refusal_of_the_engine_stands_at_the_field_it_is_about(trainer: RunDesk) -> None:
    trainer.engine.refuse(
        commands.StartRun,
        "spec_wrong",
        "rank is 9999, and must lie between 1 and 1024",
        remedy="Change `rank`",
    )
    async with open_desk(trainer.engine) as desk:
        await desk.press("f4")
        await desk.until("fits")
        await desk.press("ctrl+s")
        await desk.until("rank is 9999, and must lie between 1 and 1024")
        assert desk.app.focused is desk.app.screen.text_fields["rank"]
        assert "It was not started." in desk.text()


async def test_a_base_that_becomes_ready_says_so_in_the_form(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        trainer.engine.emit(events.ModelLoading(model="demo", progress=0.4))
        await desk.press("f4")
        await desk.until("demo · loading")
        trainer.engine.emit(events.ModelChanged(model=DEMO))
        await desk.until("demo · loaded")


async def test_data_that_cannot_be_read_gets_the_focus(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        desk.bench.composer.put("/train /nowhere/at-all.jsonl")
        await desk.press("enter")
        await desk.until("cannot be read. There is no such file.")
        assert desk.app.focused is desk.app.screen.text_fields["data"]


async def test_lines_that_need_a_look_are_listed_by_line_and_key(trainer: RunDesk) -> None:
    problem = runs.Problem(7, "messages[1].role", "'bot' is none of system, user, assistant")
    report = replace(REPORT, problems=(problem,), problem_count=1)
    trainer.engine.answers[commands.CheckData] = lambda _: report
    async with open_desk(trainer.engine) as desk:
        await desk.press("f4")
        await desk.until("1 line needs a look")
        await desk.press("ctrl+o")
        text = await desk.until("messages[1].role")
        assert "7" in text
        assert "'bot' is none of" in text


async def test_another_dataset_is_picked_from_the_list_and_estimated_anew(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        await desk.press("f4")
        await desk.until("fits")
        await desk.press("ctrl+l", *"capitals", "enter")
        await desk.until(
            lambda: trainer.engine.asked(commands.EstimateRun)[-1].spec.data == "shipped:capitals"
        )
        assert trainer.engine.asked(commands.CheckData)[-1].data == "shipped:capitals"
        await desk.until("capitals-r16")


async def test_enter_walks_the_fields_arrows_walk_choices_and_escape_leaves(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        await desk.press("f4")
        await desk.until("fits")
        screen = desk.app.screen
        assert isinstance(screen, Train)
        screen.targets_field.focus()
        await desk.press("right")
        assert screen.targets_field.value == "attention"
        await desk.press("left", "left")
        assert screen.targets_field.value == "mlp"
        await desk.press("enter")
        assert desk.app.focused is screen.text_fields["epochs"]
        await desk.press("up")
        assert desk.app.focused is screen.targets_field
        await desk.press("escape")
        await desk.until("Ask something")
        assert trainer.engine.asked(commands.StartRun) == []


@SIZES
async def test_ctrl_z_takes_a_start_back(trainer: RunDesk, size: tuple[int, int]) -> None:
    async with open_desk(trainer.engine, size) as desk:
        await desk.press("f4", "ctrl+s")
        await desk.until("is on its way")
        await desk.press("ctrl+z")
        await desk.until("pirate-r16 is undone.")
        assert not trainer.engine.asked(commands.StopRun)[0].save
        assert trainer.engine.asked(commands.DeleteRun)[0].run
        await desk.until(lambda: not desk.bench.state.engine.runs)


async def test_without_a_fresh_start_ctrl_z_is_the_text_fields_own(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        await desk.press(*"abc", "ctrl+z")
        await desk.until(lambda: desk.bench.composer.text != "abc")
        assert trainer.engine.asked(commands.StopRun) == []


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
        await desk.press("f5")
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


# --- the runs screen --------------------------------------------------------------------------


async def with_runs(desk: Desk, trainer: RunDesk) -> runs.RunInfo:
    """One done, one failed, one under way; the screen is open on the one under way."""
    done = trainer.train(trainer.tell(run_info(1)), 171)
    trainer.finish(done, adapter(done), adapter=done.id)
    error = ErrorInfo("disk_full", "The disk is full", "The adapter could not be saved")
    trainer.tell(run_info(2, name="legal-r8", state="failed", started=1.0, ended=2.0, error=error))
    going = trainer.train(trainer.tell(run_info(3, name="notes-r8")), 90)
    await desk.until(lambda: desk.bench.state.engine.runs.get(going.id, going).step == 90)
    await desk.press("f3")
    await desk.until("── notes-r8")
    return going


async def test_without_a_run_the_screen_says_what_to_do(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        await desk.press("f3")
        await desk.until("F4 opens a form that is filled in already")
        await desk.press("f4")
        await desk.until("fits")
        await desk.press("escape")
        await desk.until("Ask something")


@SIZES
async def test_the_table_and_the_chart_follow_the_cursor(trainer: RunDesk, size: tuple[int, int]) -> None:
    async with open_desk(trainer.engine, size) as desk:
        await with_runs(desk, trainer)
        text = desk.text()
        assert all(name in text for name in ("▶ notes-r8", "✗ legal-r8", "✓ pirate-r16", "90/171"))
        assert max(map(len, text.split("\n"))) <= size[0]
        await desk.press("down", "down")
        text = await desk.until("── pirate-r16")
        assert EVAL in text
        assert "╵train" in text
        assert "memory" in text


async def test_the_error_the_settings_and_the_versions_stand_beside_the_chart(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        await with_runs(desk, trainer)
        await desk.press("down")
        text = await desk.until("The disk is full.")
        for words in ("rank 16, alpha 32", "attention + MLP", "abababababababab", "2.13.0"):
            assert words in text


async def test_the_cursor_stays_on_its_run_when_others_come(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        await with_runs(desk, trainer)
        trainer.tell(run_info(9, name="newer-r8"))
        await desk.until("newer-r8")
        assert "── notes-r8" in desk.text()


async def test_enter_gives_the_chart_all_the_room_and_escape_takes_it_back(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine, NARROW) as desk:
        await with_runs(desk, trainer)
        await desk.press("enter")
        await desk.until(lambda: "legal-r8" not in desk.text())
        await desk.press("escape")
        await desk.until("legal-r8")
        await desk.press("escape")
        await desk.until("Ask something")


@pytest.mark.parametrize(("key", "save"), [("enter", True), ("n", False)])
async def test_s_asks_whether_to_keep_the_adapter(trainer: RunDesk, key: str, save: bool) -> None:
    async with open_desk(trainer.engine) as desk:
        going = await with_runs(desk, trainer)
        await desk.press("s")
        await desk.until("Stop notes-r8 at step 90 of 171?")
        await desk.press(key)
        await desk.until("■ notes-r8")
        (stopped,) = trainer.engine.asked(commands.StopRun)
        assert (stopped.run, stopped.save) == (going.id, save)


async def test_escape_lets_the_run_go_on(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        await with_runs(desk, trainer)
        await desk.press("s")
        await desk.until("Stop notes-r8")
        await desk.press("escape")
        await desk.until(lambda: isinstance(desk.app.screen, Runs))
        assert trainer.engine.asked(commands.StopRun) == []


async def test_d_deletes_an_ended_run_and_z_brings_it_back(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        await with_runs(desk, trainer)
        await desk.press("d")
        await desk.until("notes-r8 is under way; s stops it first.")
        await desk.press("down", "d")
        await desk.until("Deleted legal-r8 and its adapter.")
        await desk.until(lambda: "✗ legal-r8" not in desk.text())
        await desk.press("z")
        await desk.until("✗ legal-r8")


async def test_o_shows_the_path_of_the_log_and_its_end(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        going = await with_runs(desk, trainer)
        await desk.press("o")
        text = await desk.until(f"{going.id}/events.jsonl")
        assert "step     90" in text


async def test_t_fills_the_form_with_the_runs_settings(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        trainer.tell(run_info(1, state="done", ended=2.0, spec=replace(run_info().spec, rank=4, steps=33)))
        await desk.until("✓ pirate-r16")
        await desk.press("f3")
        await desk.until("── pirate-r16")
        await desk.press("t")
        await desk.until("Train an adapter")
        await desk.press("ctrl+s")
        await desk.until(lambda: trainer.engine.asked(commands.StartRun))
        spec = trainer.engine.asked(commands.StartRun)[0].spec
        assert (spec.rank, spec.steps, spec.rate, spec.alpha) == (4, 33, 0.004, 32)


async def test_a_switches_the_runs_adapter_in_the_chat(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        await with_runs(desk, trainer)
        await desk.press("a")
        await desk.until("notes-r8 has no adapter yet.")
        await desk.press("down", "down", "a")
        await desk.until("pirate-r16 answers from the next message on.")
        await desk.press("escape")
        await desk.until("demo + pirate-r16")


async def test_enter_on_a_run_in_the_list_opens_it(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        run = trainer.train(trainer.tell(run_info()), 40)
        await desk.until("▶ pirate-r16")
        desk.bench.go_to(desk.bench.side)
        await desk.press("down", "down", "down", "enter")
        await desk.until(f"── {run.name}")
