"""The runs screen: the table, the overlay, and what one does with a run."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from engine.api import ErrorInfo, commands, events, runs
from tests.support.fake_engine import FakeEngine
from tests.support.fake_runs import RunDesk, adapter, run_info
from tests.tui.desk import NARROW, WIDE, Desk, open_desk
from tui.screens.runs import Runs
from tui.widgets.run_lines import EVAL

SIZES = pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])


@pytest.fixture
def trainer() -> RunDesk:
    return RunDesk(FakeEngine())


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
async def test_capital_s_asks_whether_to_keep_the_adapter(trainer: RunDesk, key: str, save: bool) -> None:
    async with open_desk(trainer.engine) as desk:
        going = await with_runs(desk, trainer)
        await desk.press("S")
        await desk.until("Stop notes-r8 at step 90 of 171?")
        await desk.press(key)
        await desk.until("■ notes-r8")
        (stopped,) = trainer.engine.asked(commands.StopRun)
        assert (stopped.run, stopped.save) == (going.id, save)


async def test_escape_lets_the_run_go_on(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        await with_runs(desk, trainer)
        await desk.press("S")
        await desk.until("Stop notes-r8")
        await desk.press("escape")
        await desk.until(lambda: isinstance(desk.app.screen, Runs))
        assert trainer.engine.asked(commands.StopRun) == []


async def test_d_deletes_an_ended_run_and_z_brings_it_back(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        await with_runs(desk, trainer)
        await desk.press("d")
        await desk.until("notes-r8 is under way; S stops it first.")
        await desk.press("down", "d")
        await desk.until("Deleted legal-r8 and its adapter.")
        await desk.until(lambda: "✗ legal-r8" not in desk.text())
        await desk.press("z")
        await desk.until("✗ legal-r8")


async def test_e_shows_the_path_of_the_log_and_its_end(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        going = await with_runs(desk, trainer)
        await desk.press("e")
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


# --- several runs -----------------------------------------------------------------------------


async def three(desk: Desk, trainer: RunDesk) -> list[runs.RunInfo]:
    """Two that are done, of one group, and one that goes on; the screen is open."""
    found = []
    for number, method in ((1, "lora"), (2, "dora")):
        spec = replace(run_info().spec, method=method, group="race", name=f"legal-{method}")
        run = trainer.train(trainer.tell(run_info(number, name=spec.name, spec=spec, tags=("legal",))), 171)
        found.append(trainer.finish(run, adapter(run), adapter=run.id, eval_loss=2.0 - number / 10))
    found.append(trainer.train(trainer.tell(run_info(3, name="notes-r8")), 90))
    await desk.until(lambda: desk.bench.state.engine.runs.get(found[2].id, found[0]).step == 90)
    await desk.press("f3")
    await desk.until("── notes-r8")
    return found


@SIZES
async def test_space_selects_runs_and_lays_their_curves_over_one_another(
    trainer: RunDesk, size: tuple[int, int]
) -> None:
    async with open_desk(trainer.engine, size) as desk:
        await three(desk, trainer)
        await desk.press("space", "down", "space")
        text = await desk.until("2 selected")
        for words in ("◉a ▶ notes-r8", "◉b ✓ legal-dora", "a notes-r8", "b legal-dora", "method DoRA"):
            assert words in text
        assert "overlay by step" in text
        assert max(map(len, text.split("\n"))) <= size[0]
        await desk.press("escape")
        await desk.until(lambda: "selected" not in desk.text())


async def test_the_crosshair_tells_each_value_and_how_far_it_is_from_the_first(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        await three(desk, trainer)
        await desk.press("g", "down", "g")
        await desk.until("2 runs of race let go")  # all were selected before
        await desk.press("space", *["left"] * 20)
        text = await desk.until("┆")
        assert "notes-r8 –" in text  # it has come to step 90 only
        await desk.press(*["left"] * 40)
        text = await desk.until("(±0)")
        assert " ┆" in text
        await desk.press("0")
        await desk.until(lambda: "┆" not in desk.text())


async def test_axis_metric_smoothing_log_and_zoom_change_what_is_drawn(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        await three(desk, trainer)
        await desk.press("down", "g", "x")
        for key, words in (("s", "smooth 0.6"), ("l", "log"), ("plus", "zoom 2×"), ("m", "eval loss")):
            await desk.press(key)
            await desk.until(words)
        await desk.press("m")
        await desk.until("learning rate")
        await desk.press("x", "x", "x")
        await desk.until("by step")


async def test_the_filter_narrows_says_its_fault_and_is_taken_away(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        await three(desk, trainer)
        await desk.press("slash", *"tag:legal", "space", *"eval<1.85", "enter")
        await desk.until("1 of 3")
        assert "legal-dora" in desk.text()
        assert "▶ notes-r8" not in desk.text()
        await desk.press("slash", "end", *"x", "enter")
        await desk.until("needs a number")
        await desk.press("escape")
        await desk.until("3 runs")


async def test_the_table_is_sorted_by_what_is_chosen_and_turned(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        await three(desk, trainer)
        await desk.press("o", *"eval", "enter")
        await desk.until("sort: eval ▴")
        text = desk.text()
        assert text.index("legal-dora") < text.index("legal-lora")
        await desk.press("O")
        await desk.until("sort: eval ▾")
        text = desk.text()
        assert text.index(" legal-lora") < text.index(" legal-dora")


async def test_what_differs_is_listed_and_the_table_is_copied(
    trainer: RunDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_desk(trainer.engine) as desk:
        await three(desk, trainer)
        copied: list[str] = []
        monkeypatch.setattr(desk.app, "copy_to_clipboard", copied.append)
        await desk.press("down", "g", "v")
        text = await desk.until("What differs")
        assert "legal-lora to legal-dora: method LoRA to DoRA → eval −0.1" in text
        await desk.press("escape", "y")
        await desk.until("Copy 2 runs")
        await desk.press(*"csv", "enter")
        await desk.until(lambda: copied or "Copied" in desk.text())
        if copied:
            assert copied[0].startswith("run,method")


async def test_p_asks_how_to_pause_and_goes_on_again(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        found = await three(desk, trainer)
        await desk.press("p")
        await desk.until("Pause notes-r8")
        await desk.press(*"park", "enter")
        await desk.until("⏸ notes-r8")
        assert trainer.engine.asked(commands.PauseRun)[0] == commands.PauseRun(run=found[2].id, mode="park")
        await desk.press("p")
        await desk.until(lambda: trainer.engine.asked(commands.ResumeRun))


async def test_a_waiting_run_moves_in_the_queue(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        run = trainer.tell(run_info(1, place=2))
        await desk.until(lambda: desk.bench.state.engine.runs)
        await desk.press("f3")
        await desk.until("2. in line")
        await desk.press("K")
        await desk.until("1. in line")
        assert trainer.engine.asked(commands.MoveRun) == [commands.MoveRun(run=run.id, place=1)]
        await desk.press("f")
        await desk.until("trains next")


async def test_a_run_is_renamed_tagged_and_noted(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        await three(desk, trainer)
        await desk.press("r", "end", *"-b", "enter")
        await desk.until("▶ notes-r8-b")
        await desk.press("number_sign", *"keep", "enter")
        await desk.until(lambda: trainer.runs["0003-pirate-r16"].tags == ("keep",))
        await desk.press("n", *"why", "enter")
        await desk.until(lambda: trainer.runs["0003-pirate-r16"].note == "why")


async def test_a_checkpoint_can_be_chatted_with(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        found = await three(desk, trainer)
        kept = commands.Checkpoint(60, "/x", 2_000_000, eval_loss=0.9, best=True, adapter=f"{found[2].id}@60")
        listed = commands.CheckpointList(found[2], (kept,))
        trainer.engine.answers[commands.ListCheckpoints] = lambda _: listed
        await desk.press("C")
        text = await desk.until("step 60")
        assert "best" in text
        await desk.press("enter")
        await desk.until(lambda: desk.bench.state.settings().adapter == kept.adapter)


async def test_rerun_says_what_cannot_be_matched(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        found = await three(desk, trainer)
        again = commands.Rerun(replace(found[0], id="0009-again"), ("torch is 2.13, not 2.12",))
        trainer.engine.answers[commands.RerunRun] = lambda _: again
        await desk.press("R")
        await desk.until("not all can be the same: torch is 2.13, not 2.12.")


async def test_a_run_that_needs_somebody_and_a_finding_are_told(
    trainer: RunDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_desk(trainer.engine) as desk:
        rung: list[str] = []
        monkeypatch.setattr(desk.app, "bell", lambda: rung.append("bell"))
        run = trainer.train(trainer.tell(run_info()), 90)
        finding = runs.RunFinding("overfit", 80, "The eval loss rises", "run.stop")
        run = trainer.tell(replace(run, findings=(finding,)))
        await desk.until("The eval loss rises. S: stop the run")
        assert rung == []
        trainer.tell(replace(run, state="paused", error=ErrorInfo("disk_full", "The disk is full")))
        await desk.until("pirate-r16 needs you. The disk is full.")
        assert rung == ["bell"]


async def test_c_goes_to_the_chat_with_the_runs_adapter(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        await three(desk, trainer)
        await desk.press("down", "c")
        await desk.until("demo + legal-dora")
        assert desk.app.screen is desk.bench


@SIZES
async def test_a_runs_page_has_its_findings_and_its_newest_answers(
    trainer: RunDesk, size: tuple[int, int]
) -> None:
    async with open_desk(trainer.engine, size) as desk:
        found = await three(desk, trainer)
        page = trainer.logs[found[0].id]
        samples = (
            commands.RunSample(20, "Who are you?", "A bot."),
            commands.RunSample(40, "Who are you?", "Arr, a \x1b[31mpirate!", whole=True),
        )
        trainer.logs[found[0].id] = replace(page, samples=samples)
        finding = runs.RunFinding("overfit", 80, "The eval loss rises", "run.stop")
        trainer.tell(replace(trainer.runs[found[0].id], findings=(finding,)))
        # there are new ones in its log
        for mark in (runs.PhaseMark("sample", 9e9, 171), runs.PhaseMark("train", 9e9 + 1, 171)):
            trainer.engine.emit(events.RunMarked(run=found[0].id, mark=mark))
        await desk.press("down", "down", "enter")
        text = await desk.until("pirate!")
        assert "The eval loss rises" in text
        assert "A bot." not in text
        assert "\x1b" not in text
        assert "grad" in text


async def test_the_report_offers_to_discard_what_a_run_made(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine, NARROW) as desk:
        await with_runs(desk, trainer)
        await desk.press("w")
        await desk.until("notes-r8 has no report: it comes at the end.")
        await desk.press("down", "down")
        await desk.until("── pirate-r16")
        report = commands.RunReport(
            answers=(commands.BeforeAfter("Who are you?", "A model.", "A pirate."),),
            before=commands.Habits(8, 0.0, 1.0),
            after=commands.Habits(8, 0.25, 0.5),
            advice="discard",
            why="Answers repeat themselves",
        )
        trainer.engine.answers[commands.ReadRun] = lambda it: commands.RunPage(
            trainer.runs[it.run], (), (), report=report
        )
        await desk.press("w")
        text = await desk.until("Better discard it: Answers repeat themselves.")
        for words in ("before  A model.", "after   A pirate.", "25%", "d discard"):
            assert words in text
        await desk.press("d")
        await desk.until("Deleted pirate-r16 and its adapter. z brings them back.")


async def test_tidying_up_says_what_goes_before_it_goes(trainer: RunDesk) -> None:
    items = tuple(
        commands.Prunable("0001-pirate-r16", "checkpoint", f"/r/{n}", 1 << 20, "old") for n in (1, 2)
    )
    trainer.engine.answers[commands.PruneRuns] = lambda it: commands.Pruned(items, 2 << 20, it.dry_run)
    async with open_desk(trainer.engine, NARROW) as desk:
        await with_runs(desk, trainer)
        await desk.press("X")
        await desk.until("Delete 2 old checkpoints for good?")
        assert [each.dry_run for each in trainer.engine.asked(commands.PruneRuns)] == [True]
        await desk.press("enter")
        await desk.until("are free again")
        assert [each.dry_run for each in trainer.engine.asked(commands.PruneRuns)] == [True, False]


async def test_bake_asks_for_replies_and_opens_the_form_on_them(trainer: RunDesk) -> None:
    trainer.engine.answers[commands.StartBake] = lambda it: commands.Baked(
        path="/d/baked-pirate.jsonl", job=it.job, model="demo", name="pirate", rows=it.count
    )
    async with open_desk(trainer.engine, NARROW) as desk:
        await desk.press(*"/bake", "enter")
        await desk.until("There is no system prompt to bake")
        await desk.press(*"/system Talk like a pirate.", "enter")
        await desk.until(lambda: desk.bench.state.settings().system)
        await desk.press(*"/bake 1", "enter")
        await desk.until("from 2 to 256")
        await desk.press(*"/bake 12", "enter")
        await desk.until("/d/baked-pirate.jsonl")
        (asked,) = trainer.engine.asked(commands.StartBake)
        assert (asked.system, asked.count) == ("Talk like a pirate.", 12)
