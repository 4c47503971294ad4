"""The lists on the left, the dialogs, and the settings of a chat."""

from __future__ import annotations

import msgspec

from engine.api import commands, events, specs
from tests.support.fake_engine import DEMO, REAL, FakeEngine, snapshot
from tests.tui.desk import open_desk


def two_chats() -> FakeEngine:
    engine = FakeEngine()
    engine.add_chat("a", "Turkish contracts", ("what is a lien?", "a claim"))
    engine.add_chat("b", "Loss jump", ("why?", "warm-up"))
    return engine


async def test_the_newest_chat_is_open_at_the_start() -> None:
    async with open_desk(two_chats()) as desk:
        text = await desk.until("warm-up")
        assert "▸ Loss jump" in text
        assert "Turkish contracts" in text


async def test_a_wanted_model_starts_a_new_chat_with_it() -> None:
    async with open_desk(two_chats(), model=REAL.id) as desk:
        text = await desk.until("Qwen3-1.7B answers here")
        assert "warm-up" not in text
        assert desk.engine.asked(commands.LoadModel)[0].model == REAL.id


async def test_ctrl_page_keys_walk_the_chats_and_drafts_stay_with_them() -> None:
    async with open_desk(two_chats()) as desk:
        await desk.until("warm-up")
        await desk.press(*"half", "ctrl+pagedown")
        await desk.until("a claim")
        assert desk.bench.composer.text == ""
        await desk.press("ctrl+pageup")
        await desk.until("warm-up")
        assert desk.bench.composer.text == "half"
        drafts = [command.draft for command in desk.engine.asked(commands.ChangeChat)]
        assert "half" in drafts


async def test_enter_on_a_chat_opens_it_and_d_deletes_with_undo() -> None:
    async with open_desk(two_chats()) as desk:
        await desk.until("warm-up")
        await desk.press("shift+tab", "down", "enter")
        await desk.until("a claim")
        await desk.press("shift+tab", "d")
        await desk.until("Deleted “Turkish contracts”.")
        assert desk.engine.asked(commands.DeleteChat)[0].chat == "a"
        assert "▸ Turkish" not in desk.text()
        await desk.press("z")
        await desk.until("▸ Turkish contracts")
        assert desk.engine.asked(commands.DeleteChat)[-1].restore


async def test_ctrl_n_keeps_model_and_settings_and_creates_nothing_yet() -> None:
    async with open_desk(two_chats()) as desk:
        await desk.until("warm-up")
        await desk.press("ctrl+t")
        await desk.until("thinking off")
        await desk.press("ctrl+n")
        await desk.until("What is 482 + 359?")
        assert "thinking off" in desk.text()
        assert desk.engine.asked(commands.NewChat) == []


async def test_search_finds_and_opens() -> None:
    async with open_desk(two_chats()) as desk:
        await desk.until("warm-up")
        await desk.press("ctrl+r", *"lien")
        await desk.until("what is a lien?")
        await desk.press("enter")
        await desk.until("a claim")


async def test_models_show_size_state_and_load_progress() -> None:
    async with open_desk() as desk:
        text = await desk.until("Qwen3-1.7B")
        assert "● demo" in text
        assert "○ Qwen3-1.7B    3.4 G" in text
        desk.engine.emit(events.ModelLoading(model=REAL.id, progress=0.25))
        await desk.until(lambda: "◌ Qwen3-1.7B" in desk.text() and "25 %" in desk.text())
        ready = msgspec.structs.replace(REAL, state="ready", memory=3 << 30)
        desk.engine.emit(events.ModelChanged(model=ready))
        await desk.until("● Qwen3-1.7B    3.0 G")


async def test_enter_in_models_loads_and_uses_u_unloads_escape_cancels_a_load() -> None:
    async with open_desk() as desk:
        await desk.press("shift+tab", "down", "enter")
        await desk.until(lambda: desk.engine.asked(commands.LoadModel))
        assert desk.engine.asked(commands.LoadModel)[-1].model == REAL.id
        assert desk.bench.state.model_id() == REAL.id
        desk.engine.emit(events.ModelLoading(model=REAL.id, progress=0.1))
        await desk.until("10 %")
        await desk.press("escape")
        await desk.until(lambda: desk.engine.asked(commands.UnloadModel))
        desk.engine.emit(events.ModelChanged(model=msgspec.structs.replace(REAL, state="ready")))
        await desk.until("● Qwen3-1.7B")
        await desk.press("u")
        await desk.until(lambda: len(desk.engine.asked(commands.UnloadModel)) == 2)


async def test_ctrl_l_filters_and_switches_the_chat_to_the_model() -> None:
    async with open_desk() as desk:
        await desk.replied("hi", "hello")
        await desk.press("ctrl+l", *"1.7b", "enter")
        await desk.until(lambda: desk.engine.asked(commands.ChangeChat))
        assert desk.engine.asked(commands.ChangeChat)[-1].model == REAL.id
        await desk.until(lambda: "Qwen3-1.7B" in desk.text().split("\n")[0])


async def test_a_model_that_would_push_another_out_is_asked_about() -> None:
    engine = FakeEngine()
    engine.refuse(commands.LoadModel, "would_evict", "Qwen3-1.7B fits only when demo is unloaded")
    async with open_desk(engine) as desk:
        await desk.press("shift+tab", "down", "enter")
        await desk.until("Unload it?")
        await desk.press("y")
        await desk.until(lambda: len(engine.asked(commands.LoadModel)) == 2)
        assert engine.asked(commands.LoadModel)[1].evict


async def test_a_model_that_cannot_load_says_why() -> None:
    odd = specs.ModelInfo(id="x", name="odd", support="unsupported", why="Its architecture is not known")
    async with open_desk(FakeEngine(snapshot(models=(DEMO, odd)))) as desk:
        await desk.press("shift+tab", "down", "enter")
        text = await desk.until("odd cannot be loaded.")
        assert "Its architecture is not known." in text
        assert desk.engine.asked(commands.LoadModel) == []


async def test_a_model_without_a_switch_says_so() -> None:
    always = msgspec.structs.replace(DEMO, thinking="always")
    async with open_desk(FakeEngine(snapshot(models=(always,)))) as desk:
        await desk.until("thinking always")
        await desk.press("ctrl+t")
        await desk.until("demo always thinks")


async def test_the_model_in_use_is_loaded_as_soon_as_the_link_is_open() -> None:
    cold = msgspec.structs.replace(DEMO, state="available")
    async with open_desk(FakeEngine(snapshot(models=(cold,)))) as desk:
        await desk.until(lambda: desk.engine.asked(commands.LoadModel))
        assert desk.engine.asked(commands.LoadModel)[0].model == "demo"


async def test_the_palette_does_what_is_picked() -> None:
    async with open_desk() as desk:
        await desk.press("ctrl+p")
        await desk.until("Commands")
        await desk.press(*"thinking on or off", "enter")
        await desk.until("thinking off")


async def test_memory_and_processor_are_shown_with_units() -> None:
    async with open_desk() as desk:
        text = await desk.until("PROCESSOR")
        assert "RAM" in text
        assert "23.4" in text
        assert "34 %" in text
        assert "2 cores" in text


async def test_a_graphics_card_is_shown_when_there_is_one() -> None:
    gpu = specs.GpuSample(
        name="780M", kind="amd", vram_total=4 << 30, vram_used=1 << 30, gtt_total=12 << 30, gtt_used=6 << 30
    )
    async with open_desk() as desk:
        sample = msgspec.structs.replace(desk.engine.welcome.snapshot.monitor, gpus=(gpu,))
        desk.engine.emit(events.Sampled(sample=sample))
        text = await desk.until("GPU · 780M")
        assert "VRAM" in text
        assert "GTT" in text
        assert "6.0" in text
