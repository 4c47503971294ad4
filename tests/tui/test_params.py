"""The parameters panel and the context meter: what they show, and what they ask of the engine."""

from __future__ import annotations

from msgspec.structs import replace
from textual.widgets import Input

from engine.api import commands, config_dir, specs
from tests.support.fake_engine import DEMO, FakeEngine, snapshot
from tests.tui.desk import NARROW, Desk, open_desk
from tui.modals.params import Params
from tui.modals.preset_name import PresetName

OWN = specs.Sampling(temperature=0.6, top_k=20, top_p=0.95, min_p=0.0, repetition_penalty=1.0)
PLAIN = replace(OWN, temperature=0.7, top_p=0.8)


def engine() -> FakeEngine:
    """With a demo model that has said what its own sampling is, and a chat."""
    model = replace(DEMO, defaults=OWN, plain_defaults=PLAIN)
    made = FakeEngine(snapshot(models=(model,)))
    made.add_chat("c1", "Cats", ("Why?", "Because."))
    return made


async def opened(desk: Desk) -> Params:
    """The panel, as F10 opens it."""
    await desk.until(lambda: desk.bench.state.chat == "c1")
    await desk.press("f10")
    await desk.until(lambda: isinstance(desk.app.screen, Params) and desk.app.screen.is_mounted)
    panel = desk.app.screen
    assert isinstance(panel, Params)
    await desk.until("Temperature")
    return panel


def saved(desk: Desk) -> specs.ChatSettings:
    """The settings as the engine has them."""
    return desk.engine.chats["c1"].settings


# --- the panel -----------------------------------------------------------------------------------


async def test_each_value_is_shown_with_whose_it_is() -> None:
    async with open_desk(engine()) as desk:
        panel = await opened(desk)
        assert panel.text_fields["temperature"].placeholder == "0.6"
        assert panel.rows["temperature"].words == "model's own"
        assert panel.text_fields["context"].placeholder == "2,048"
        await desk.press("0", ".", "9")
        assert panel.rows["temperature"].words == "this chat · model's own 0.6"
        await desk.until(lambda: saved(desk).sampling.temperature == 0.9)
        assert desk.engine.asked(commands.ChangeChat)[-1].settings.sampling.temperature == 0.9


async def test_without_thinking_the_models_other_defaults_hold() -> None:
    async with open_desk(engine()) as desk:
        panel = await opened(desk)
        panel.choice_fields["think"].focus()
        await desk.press("right")
        assert panel.text_fields["temperature"].placeholder == "0.7"
        await desk.until(lambda: saved(desk).think is False)
        await desk.press("backspace")
        await desk.until(lambda: saved(desk).think is True)
        assert panel.rows["think"].words == "default"


async def test_what_cannot_be_is_told_beside_the_field_and_not_saved() -> None:
    async with open_desk(engine()) as desk:
        panel = await opened(desk)
        await desk.press("9", "9")
        assert panel.rows["temperature"].words.startswith("✗ temperature is a number from 0 to 5")
        await desk.press("down", "5")
        assert panel.rows["top_k"].words.startswith("this chat")
        assert panel.rows["temperature"].words.startswith("✗")
        await desk.press("ctrl+u", "up", "ctrl+u")
        assert panel.rows["temperature"].words == "model's own"
        await desk.press("escape")
        await desk.until(lambda: desk.app.screen is desk.bench)
        assert saved(desk) == specs.ChatSettings()


async def test_reset_all_keeps_the_system_prompt_and_can_be_undone() -> None:
    async with open_desk(engine()) as desk:
        start = specs.ChatSettings(
            system="Be brief.", context=512, overflow="stop", sampling=specs.Sampling(top_k=3)
        )
        desk.bench.change_settings(start)
        await desk.until(lambda: desk.bench.state.settings() == start)
        panel = await opened(desk)
        assert panel.text_fields["top_k"].value == "3"
        await desk.press("ctrl+r")
        await desk.until(lambda: saved(desk) == specs.ChatSettings(system="Be brief."))
        assert panel.text_fields["top_k"].value == ""
        await desk.press("ctrl+z")
        await desk.until(lambda: saved(desk) == start)
        assert panel.choice_fields["overflow"].value == "stop"


async def test_typing_in_one_field_is_one_step_back() -> None:
    async with open_desk(engine()) as desk:
        panel = await opened(desk)
        await desk.press("0", ".", "9", "down", "5", "0")
        assert (panel.settings.sampling.temperature, panel.settings.sampling.top_k) == (0.9, 50)
        await desk.press("ctrl+z")
        assert (panel.settings.sampling.temperature, panel.settings.sampling.top_k) == (0.9, None)
        await desk.press("ctrl+z")
        assert panel.settings == specs.ChatSettings()
        assert panel.text_fields["temperature"].value == ""


async def test_leaving_at_once_saves_what_was_typed_last() -> None:
    async with open_desk(engine()) as desk:
        await opened(desk)
        await desk.press("1", "escape")
        await desk.until(lambda: saved(desk).sampling.temperature == 1.0)


async def test_the_system_prompt_has_several_lines() -> None:
    async with open_desk(engine()) as desk:
        panel = await opened(desk)
        panel.system_field.focus()
        await desk.press("H", "i", "enter", "y", "o")
        await desk.until(lambda: saved(desk).system == "Hi\nyo")


async def test_the_budget_is_told_in_seconds_at_the_measured_speed() -> None:
    async with open_desk(engine()) as desk:
        desk.bench.state.engine.speeds.append(40.0)
        panel = await opened(desk)
        panel.text_fields["think_budget"].focus()
        await desk.press("2", "0", "0", "0")
        assert panel.rows["think_budget"].words == "this chat · about 50 s at 40.0 tok/s"


async def test_a_chat_that_does_not_exist_yet_takes_parameters_too() -> None:
    async with open_desk() as desk:
        await desk.press("f10")
        await desk.until(lambda: isinstance(desk.app.screen, Params))
        await desk.press("1", "escape")
        await desk.until(lambda: desk.bench.state.blank.settings.sampling.temperature == 1.0)
        await desk.say("Hello")
        assert desk.engine.asked(commands.NewChat)[0].settings.sampling.temperature == 1.0


async def test_slash_params_opens_it_and_it_fits_eighty_columns() -> None:
    async with open_desk(engine(), NARROW) as desk:
        await desk.until(lambda: desk.bench.state.chat == "c1")
        desk.bench.composer.put("/params")
        await desk.press("enter")
        text = await desk.until("Temperature")
        assert "model's own" in text
        for _ in range(12):
            await desk.press("tab")
        await desk.until("System prompt")


# --- presets -------------------------------------------------------------------------------------


async def test_a_preset_is_shown_first_and_taken_by_enter() -> None:
    async with open_desk(engine()) as desk:
        panel = await opened(desk)
        panel.preset_field.focus()
        assert panel.preset_row.words == "holds now"
        await desk.press("right")
        await desk.until("Precise")
        assert panel.settings == specs.ChatSettings()
        await desk.press("enter")
        await desk.until(lambda: saved(desk).sampling.temperature == 0.3)
        assert panel.text_fields["temperature"].value == "0.3"
        assert panel.preset_row.words == "holds now"
        await desk.press("ctrl+z")
        await desk.until(lambda: saved(desk) == specs.ChatSettings())


async def test_own_presets_are_saved_deleted_and_brought_back() -> None:
    async with open_desk(engine()) as desk:
        panel = await opened(desk)
        await desk.press("1", ".", "1", "ctrl+s")
        await desk.until(lambda: isinstance(desk.app.screen, PresetName))
        desk.app.screen.query_one(Input).value = "Wild ideas"
        await desk.press("enter")
        path = config_dir() / "presets" / "wild-ideas.toml"
        await desk.until(path.exists)
        await desk.until(lambda: panel.preset_row.words == "holds now")
        panel.preset_field.focus()
        await desk.press("ctrl+d")
        assert not path.exists()
        assert "Ctrl+Z" in panel.preset_row.words
        await desk.press("ctrl+z")
        assert path.exists()
        assert panel.preset_row.words == "holds now"


async def test_presets_that_come_with_qwill_stay() -> None:
    async with open_desk(engine()) as desk:
        panel = await opened(desk)
        panel.preset_field.focus()
        await desk.press("ctrl+d")
        assert panel.preset_row.words.startswith("✗ Model's own comes with Qwill")


async def test_a_preset_by_its_command() -> None:
    async with open_desk(engine()) as desk:
        await desk.until(lambda: desk.bench.state.chat == "c1")
        desk.bench.run_command("preset", "creative")
        await desk.until(lambda: saved(desk).sampling.min_p == 0.05)
        desk.bench.run_command("preset", "no such")
        await desk.until("No preset is called no such")


# --- the meter -----------------------------------------------------------------------------------


async def test_the_meter_measures_the_draft_once_typing_rests() -> None:
    made = engine()
    made.context = commands.ContextUse(tokens=1234, size=2048, kept=1234)
    async with open_desk(made) as desk:
        await desk.until("1.2k / 2k")
        before = len(made.asked(commands.MeasureContext))
        await desk.press("h", "e", "y")
        await desk.until(lambda: made.asked(commands.MeasureContext)[-1].draft == "hey")
        assert len(made.asked(commands.MeasureContext)) - before <= 2
        desk.bench.state.files["c1"] = (specs.Attachment("a.txt", "text"),)
        desk.bench.measure_soon()
        await desk.until(lambda: made.asked(commands.MeasureContext)[-1].files)


async def test_what_would_be_dropped_is_told_by_the_chosen_policy() -> None:
    made = engine()
    made.context = commands.ContextUse(tokens=2300, size=2048, kept=1500, dropped=("a", "b", "c", "d"))
    async with open_desk(made) as desk:
        await desk.until("drops the oldest 4")
        panel = await opened(desk)
        await desk.until("drops the oldest 4 messages")
        panel.choice_fields["overflow"].focus()
        await desk.press("right", "right")
        await desk.until(lambda: saved(desk).overflow == "stop")
        await desk.until("Full: the next message will not be sent.")
        await desk.press("left")
        await desk.until("sums up the oldest 4 messages")


async def test_no_measuring_while_a_reply_is_written() -> None:
    made = engine()
    made.context = commands.ContextUse(tokens=100, size=2048, kept=100)
    async with open_desk(made) as desk:
        await desk.until("100 / 2k")
        await desk.say("And?")
        await desk.pilot.pause(0.5)
        asked = len(made.asked(commands.MeasureContext))
        await desk.press("x")
        await desk.pilot.pause(0.5)
        assert len(made.asked(commands.MeasureContext)) == asked
        made.context = commands.ContextUse(tokens=150, size=2048, kept=150)
        made.finish("So.")
        await desk.until("150 / 2k")


async def test_at_eighty_columns_the_header_tells_when_it_is_nearly_full() -> None:
    made = engine()
    made.context = commands.ContextUse(tokens=1000, size=2048, kept=1000)
    async with open_desk(made, NARROW) as desk:
        await desk.until(lambda: desk.bench.state.engine.contexts)
        assert "context" not in desk.text().splitlines()[0]
        made.context = commands.ContextUse(tokens=1800, size=2048, kept=1800)
        await desk.press("x")
        await desk.until("context 88 %")


async def test_a_new_chat_counts_what_is_typed() -> None:
    made = FakeEngine()
    made.answers[commands.CountTokens] = lambda command: commands.TokenCount(len(command.text))
    async with open_desk(made) as desk:
        await desk.press("a", "b", "c")
        await desk.until("3 / 2k")


async def test_an_engine_that_cannot_measure_leaves_no_old_number() -> None:
    made = engine()
    made.context = commands.ContextUse(tokens=100, size=2048, kept=100)
    async with open_desk(made) as desk:
        await desk.until("100 / 2k")
        made.refuse(commands.MeasureContext, "tokenizer_broken", "The tokenizer cannot be read")
        await desk.press("x")
        await desk.until(lambda: "c1" not in desk.bench.state.engine.contexts)
