"""The train form on the screen: filled in, checked, started, left and found again."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from textual.events import Paste

from engine.api import EngineError, commands, dump_spec, events, runs
from tests.support.fake_engine import DEMO, FakeEngine, Welcome
from tests.support.fake_runs import ESTIMATE, REPORT, SPEC, RunDesk
from tests.tui.desk import NARROW, TINY, WIDE, Desk, open_desk
from tui.screens.train import Train

SIZES = pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])


@pytest.fixture
def trainer() -> RunDesk:
    return RunDesk(FakeEngine())


def the_form(desk: Desk) -> Train:
    """The form, which is on top."""
    assert isinstance(desk.app.screen, Train)
    return desk.app.screen


def last_estimate(trainer: RunDesk) -> runs.TrainSpec:
    """The spec that was asked about last."""
    spec: runs.TrainSpec = trainer.engine.asked(commands.EstimateRun)[-1].spec
    return spec


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
        the_form(desk).text_fields["rank"].value = "0"
        await desk.until("Rank takes a whole number of at least 1.")
        await desk.press("ctrl+s")
        await desk.pilot.pause()
        assert trainer.engine.asked(commands.StartRun) == []
        assert desk.app.focused is the_form(desk).text_fields["rank"]


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
        assert desk.app.focused is the_form(desk).text_fields["rank"]
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
        assert desk.app.focused is the_form(desk).text_fields["data"]


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
        assert desk.app.focused is screen.text_fields["steps"]
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


# --- what it fills in -------------------------------------------------------------------------


async def test_a_preset_fills_the_fields_and_a_change_makes_it_ones_own(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        await desk.press("f4")
        await desk.until("it fits")
        form = the_form(desk)
        form.preset_field.focus()
        await desk.press("left", "left")
        await desk.until(lambda: last_estimate(trainer).quant == "nf4")
        assert (form.method_field.value, form.text_fields["batch"].value) == ("lora:nf4", "1")
        assert "QLoRA (4-bit)" in await desk.until("about a quarter of the memory")
        form.text_fields["rank"].value = "12"
        await desk.until("‹ own ›")


async def test_what_the_data_is_decides_what_is_learnt(trainer: RunDesk) -> None:
    report = replace(REPORT, kind="pairs", objectives=("dpo", "orpo", "kto"))
    trainer.engine.answers[commands.CheckData] = lambda _: report
    async with open_desk(trainer.engine) as desk:
        await desk.press("f4")
        await desk.until("240 preferences")
        await desk.until("preferences by DPO")
        await desk.until(lambda: last_estimate(trainer).objective == "dpo")
        the_form(desk).objective_field.focus()
        await desk.press("right")
        await desk.until(lambda: last_estimate(trainer).objective == "orpo")


async def test_more_opens_by_space_and_a_fault_under_it_opens_it_too(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        await desk.press("f4")
        assert "weight decay" not in await desk.until("it fits")
        form = the_form(desk)
        form.more.focus()
        await desk.press("space")
        await desk.until("weight decay")
        await desk.press("enter")
        await desk.until(lambda: "weight decay" not in desk.text())
        form.text_fields["dropout"].value = "120"
        await desk.press("ctrl+s")
        await desk.until("Dropout takes a number from 0 to 90 %.")
        assert desk.app.focused is form.text_fields["dropout"]


async def test_a_rate_far_from_the_usual_is_said(trainer: RunDesk) -> None:
    model = replace(DEMO, parameters=600_000_000)
    trainer.engine.welcome = Welcome(replace(trainer.engine.welcome.snapshot, models=(model,)))
    async with open_desk(trainer.engine) as desk:
        await desk.press("f4")
        await desk.until("it fits")
        the_form(desk).text_fields["rate"].value = "2e-5"
        await desk.until("may learn nothing")


# --- what does not fit ------------------------------------------------------------------------


async def test_what_does_not_fit_takes_the_focus_and_a_digit_makes_it_fit(trainer: RunDesk) -> None:
    change = runs.FitChange("batch 2 × 2 instead of 4 × 1: as long", {"batch": 2, "accumulate": 2}, 9_000_000)
    tight = replace(ESTIMATE, free=10_000_000, fits=False, changes=(change,))

    def estimate(command: commands.EstimateRun) -> runs.Estimate:
        return ESTIMATE if command.spec.batch == 2 else tight

    trainer.engine.answers[commands.EstimateRun] = estimate
    async with open_desk(trainer.engine) as desk:
        await desk.press("f4")
        await desk.until("1  batch 2 × 2 instead of 4 × 1")
        form = the_form(desk)
        assert desk.app.focused is form.fits
        form.text_fields["rank"].focus()
        await desk.press("alt+1")
        await desk.until("it fits")
        assert form.text_fields["rank"].value == "16"
        form.text_fields["batch"].value = "4"
        await desk.until("it does not fit")
        form.fits.focus()
        await desk.press("1")
        await desk.until("it fits")
        assert (form.text_fields["batch"].value, form.text_fields["accumulate"].value) == ("2", "2")


async def test_what_does_not_fit_starts_when_it_is_asked_for_twice(trainer: RunDesk) -> None:
    trainer.engine.answers[commands.EstimateRun] = lambda _: replace(ESTIMATE, fits=False)
    async with open_desk(trainer.engine) as desk:
        await desk.press("f4")
        await desk.until("it does not fit")
        await desk.press("ctrl+s")
        await desk.until("Ctrl+S again starts it")
        assert trainer.engine.asked(commands.StartRun) == []
        await desk.press("ctrl+s")
        await desk.until("is on its way")


# --- buttons ----------------------------------------------------------------------------------


async def test_queue_stays_in_the_form_and_when_idle_leaves_it(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        await desk.press("f4")
        await desk.until("it fits")
        form = the_form(desk)
        form.query_one("#queue").focus()
        await desk.press("enter")
        await desk.until("is in the queue")
        assert desk.app.screen is form
        form.query_one("#idle").focus()
        await desk.press("enter")
        await desk.until(lambda: desk.app.screen is desk.bench)
        assert [each.idle for each in trainer.engine.asked(commands.StartRun)] == [False, True]


async def test_the_form_is_found_as_it_was_left_until_it_is_started(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        await desk.press("f4")
        await desk.until("it fits")
        form = the_form(desk)
        form.text_fields["rank"].focus()
        await desk.press("backspace", "backspace", "x", "escape")
        await desk.until(lambda: desk.app.screen is desk.bench)
        await desk.press("f4")
        await desk.until("Rank takes a whole number")
        assert the_form(desk).text_fields["rank"].value == "x"
        the_form(desk).text_fields["rank"].value = "32"
        await desk.until("it fits")
        await desk.press("ctrl+s")
        await desk.until("is on its way")
        await desk.press("f4")
        await desk.until("it fits")
        assert the_form(desk).text_fields["rank"].value == "16"


async def test_a_run_toml_comes_back_with_what_has_no_field(trainer: RunDesk) -> None:
    async with open_desk(trainer.engine) as desk:
        await desk.press("f4")
        await desk.until("it fits")
        text = dump_spec(replace(SPEC, rank=4, peft={"use_dora": True}, method="pissa")).decode()
        form = the_form(desk)
        form.take_toml(text)
        await desk.until("peft keys (1)")
        assert form.read()[0].peft == {"use_dora": True}
        assert (form.method_field.value, form.text_fields["rank"].value) == ("pissa:", "4")
        with pytest.raises(EngineError, match="not TOML"):
            form.take_toml("rank = ")
        await desk.press("ctrl+g")
        await desk.until("cannot be handed to an editor")


# --- where the data comes from ----------------------------------------------------------------


async def test_a_dropped_path_loses_its_quotes_and_pasted_columns_become_rows(
    trainer: RunDesk, tmp_path: Path
) -> None:
    file = tmp_path / "my rows.jsonl"
    file.write_text("{}\n")
    pairs = (commands.QAPair("a", "1"), commands.QAPair("b", "2"))
    trainer.engine.answers |= {
        commands.PasteRows: lambda _: commands.PastedRows(pairs, "tab"),
        commands.SaveRows: lambda _: commands.SavedRows(str(tmp_path / "pasted.jsonl"), 2, "ab"),
        commands.CheckData: lambda _: REPORT,
    }
    async with open_desk(trainer.engine) as desk:
        await desk.press("f4")
        await desk.until("it fits")
        form = the_form(desk)
        form.data_field.focus()
        for text in (f"'{file}'", f"file://{str(file).replace(' ', '%20')}", str(file).replace(" ", "\\ ")):
            form.data_field.value = ""
            form.data_field.post_message(Paste(text))
            await desk.until(lambda: form.data_field.value == str(file))
        form.data_field.post_message(Paste("a\t1\nb\t2\n"))
        await desk.until("Pasted 2 pairs")
        await desk.until(lambda: form.data_field.value == str(tmp_path / "pasted.jsonl"))
        assert trainer.engine.asked(commands.SaveRows)[0].pairs == pairs


async def test_data_of_the_hub_is_fetched_by_enter_and_shown(trainer: RunDesk) -> None:
    preview = commands.DataPreview("hub:a/b", "/cache/b.jsonl", ('{"q": "why?"}',), ("q",), 800)
    trainer.engine.answers |= {
        commands.FetchData: lambda _: preview,
        commands.CheckData: lambda _: REPORT,
    }
    async with open_desk(trainer.engine) as desk:
        await desk.press("f4")
        await desk.until("it fits")
        form = the_form(desk)
        form.data_field.value = "hub:a/b"
        form.data_field.focus()
        await desk.until("Enter fetches its first rows")
        assert all(each.data != "hub:a/b" for each in trainer.engine.asked(commands.CheckData))
        await desk.press("enter")
        await desk.until('{"q": "why?"}')
        await desk.press("escape")
        await desk.until(lambda: last_estimate(trainer).data == "hub:a/b")
        assert last_estimate(trainer).limit == 1000
