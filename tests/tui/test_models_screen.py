"""The models screen (F2): what it shows of each model, and what its keys do."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from engine.api import commands, events, runs, specs
from tests.support.fake_engine import BASE, DEMO, REAL, SAMPLE, FakeEngine, snapshot
from tests.tui.desk import NARROW, TINY, WIDE, Desk, open_desk

REAL_SIZED = msgspec.structs.replace(
    REAL,
    parameters=1_720_000_000,
    dtype="bfloat16",
    defaults=specs.Sampling(temperature=0.6, top_k=20),
    path="/models/qwen",
)
HUGE = specs.ModelInfo(
    id="/models/huge",
    name="Huge-70B",
    family="llama",
    parameters=70_000_000_000,
    bytes_on_disk=140_000_000_000,
    context=131072,
    dtype="bfloat16",
    thinking="always",
)
ODD = specs.ModelInfo(
    id="/models/a.gguf", name="a-gguf", support="unsupported", why="Its weights are GGUF", bytes_on_disk=9
)
ADAPTER = runs.AdapterInfo(
    id="r1", name="pirate-r16", path="/runs/r1", base=REAL.id, rank=16, loss=0.61, created=1.0
)


def shop(**changes: object) -> FakeEngine:
    models = (ODD, DEMO, HUGE, REAL_SIZED, BASE)
    return FakeEngine(snapshot(**{"models": models, "adapters": (ADAPTER,)} | changes))


async def browse(desk: Desk) -> str:
    await desk.press("f2")
    return await desk.until("── demo")


def row_of(text: str, model: str) -> str:
    return next(line for line in text.split("\n") if line[3:].startswith(model))


@pytest.mark.parametrize("size", [WIDE, NARROW, TINY], ids=["120x40", "80x24", "40x12"])
async def test_every_size_shows_whether_a_model_fits(size: tuple[int, int]) -> None:
    async with open_desk(shop(), size) as desk:
        await desk.press("f2")
        await desk.until("Huge-70B")
        await desk.pilot.pause()
        text = desk.text()
        assert "✗ no" in row_of(text, "Huge-70B")
        assert "✓ yes" in row_of(text, "Qwen3-1.7B")
        assert "● held" in row_of(text, "demo")
        lines = text.split("\n")
        assert len(lines) == size[1]
        assert max(map(len, lines)) <= size[0]


async def test_a_row_tells_size_context_dtype_thinking_adapters_and_support() -> None:
    async with open_desk(shop()) as desk:
        await browse(desk)
        row = " ".join(row_of(desk.text(), "Qwen3-1.7B").split())
        assert row == "○ Qwen3-1.7B qwen3 1.7B 3.4 G 32k bf16 switch 1 3.7 G ✓ yes tested"
        assert row_of(desk.text(), "Huge-70B").split()[7:9] == ["bf16", "yes"]


async def test_the_detail_says_what_a_load_needs_and_which_adapters_fit() -> None:
    async with open_desk(shop()) as desk:
        await browse(desk)
        desk.bench.app.screen.query_one("ModelTable").cursor = REAL.id
        await desk.press("up", "down")
        text = await desk.until("── Qwen3-1.7B")
        assert "needs 3.2 G of weights as bfloat16 + 512 M to work in = 3.7 G of 14.0 G free RAM" in text
        assert "✓ fits" in text
        assert "temperature 0.6 · top_k 20" in text
        assert "pirate-r16 (rank 16, loss 0.61)" in text
        assert "/models/qwen" in text


async def test_one_that_cannot_be_loaded_stands_last_and_says_why() -> None:
    async with open_desk(shop()) as desk:
        await browse(desk)
        for key in ("s", "S", "s"):
            await desk.press(key, "G")
            await desk.until("── a-gguf")
        assert "Its weights are GGUF." in desk.text()
        await desk.press("enter")
        await desk.until("a-gguf cannot be loaded")
        assert desk.engine.asked(commands.LoadModel) == []


async def test_enter_loads_shows_progress_and_goes_back_once_it_is_ready() -> None:
    async with open_desk(shop()) as desk:
        await browse(desk)
        await desk.press("end", "up", "enter")
        await desk.until(lambda: desk.engine.asked(commands.LoadModel))
        assert desk.engine.asked(commands.LoadModel)[-1].model == REAL.id
        assert desk.bench.state.model_id() == REAL.id
        await desk.until("as soon as it is loaded")
        desk.engine.emit(events.ModelLoading(model=REAL.id, progress=0.4, phase="reading the weights"))
        text = await desk.until("reading the weights")
        assert "▓▓░░░ 40 %" in row_of(text, "Qwen3-1.7B")
        ready = msgspec.structs.replace(REAL_SIZED, state="ready", memory=3 << 30)
        desk.engine.emit(events.ModelChanged(model=ready))
        await desk.until("3.0 G held")
        await desk.press("enter")
        await desk.until(lambda: desk.app.screen is desk.bench)
        assert desk.app.focused is desk.bench.composer


async def test_escape_cancels_a_load_and_then_leaves_and_u_unloads() -> None:
    async with open_desk(shop()) as desk:
        await browse(desk)
        await desk.press("end", "up")
        desk.engine.emit(events.ModelLoading(model=REAL.id, progress=0.4))
        await desk.until("Esc cancels")
        await desk.press("escape")
        await desk.until(lambda: len(desk.engine.asked(commands.UnloadModel)) == 1)
        desk.engine.emit(events.ModelChanged(model=msgspec.structs.replace(REAL_SIZED, state="ready")))
        await desk.until("held")
        await desk.press("u")
        await desk.until(lambda: len(desk.engine.asked(commands.UnloadModel)) == 2)
        await desk.press("escape")
        await desk.until(lambda: desk.app.screen is desk.bench)


async def test_the_filter_narrows_keeps_letters_from_being_commands_and_goes_with_escape() -> None:
    async with open_desk(shop()) as desk:
        await browse(desk)
        await desk.press("slash", *"aqu")
        await desk.until("0 of 5 models")
        await desk.press("backspace", "backspace", "backspace", *"qwen3-1")
        await desk.until("1 of 5 models")
        assert "Huge-70B" not in desk.text()
        await desk.press("enter", "escape")
        await desk.until("Huge-70B")
        assert desk.engine.asked(commands.UnloadModel) == []
        await desk.press("escape")
        await desk.until(lambda: desk.app.screen is desk.bench)


async def test_sorting_by_size_puts_the_largest_first_and_turns_round() -> None:
    async with open_desk(shop()) as desk:
        await browse(desk)
        await desk.press("s")
        text = await desk.until("by params ↓")
        assert text.index("Huge-70B") < text.index("Qwen3-1.7B")
        await desk.press("S")
        text = await desk.until("by params ↑")
        assert text.index("Qwen3-1.7B") < text.index("Huge-70B")


async def test_a_adds_a_folder_and_a_wrong_one_says_why(tmp_path: Path) -> None:
    async with open_desk(shop()) as desk:
        await browse(desk)
        (tmp_path / "weights").mkdir()
        desk.engine.answers[commands.AddFolder] = lambda _: commands.ModelList(models=(DEMO, REAL))
        await desk.press("a", *str(tmp_path / "wei"))
        await desk.until("Add a folder")
        await desk.press("tab", "enter")
        await desk.until("2 models found")
        assert desk.engine.asked(commands.AddFolder)[0].path == str(tmp_path / "weights")
        desk.engine.refuse(
            commands.AddFolder, "folder_not_found", "The folder cannot be added", "No such file"
        )
        await desk.press("a", *"/none", "enter")
        await desk.until("No such file")


async def test_r_looks_again() -> None:
    async with open_desk(shop()) as desk:
        await browse(desk)
        await desk.press("r")
        await desk.until("5 models found")
        assert desk.engine.asked(commands.ListModels)[-1].refresh


async def test_without_models_it_says_how_to_get_one() -> None:
    async with open_desk(shop(models=())) as desk:
        await desk.press("f2")
        text = await desk.until("No models were found")
        assert "hf download Qwen/Qwen3-0.6B" in text
    async with open_desk(shop(models=(DEMO,))) as desk:
        assert "hf download" in await browse(desk) or await desk.until("hf download")


async def test_what_others_hold_changes_the_verdict_while_one_looks() -> None:
    async with open_desk(shop()) as desk:
        await browse(desk)
        full = msgspec.structs.replace(SAMPLE, ram_available=1 << 30)
        desk.engine.emit(events.Sampled(sample=full))
        await desk.until(lambda: "✗ no" in row_of(desk.text(), "Qwen3-1.7B"))
        busy = msgspec.structs.replace(DEMO, memory=8 << 30)
        desk.engine.emit(events.ModelChanged(model=busy))
        await desk.until(lambda: "~ alone" in row_of(desk.text(), "Qwen3-1.7B"))


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["120x40", "80x24"])
async def test_a_gpu_that_torch_cannot_use_is_named_here_and_in_the_header(size: tuple[int, int]) -> None:
    gpu = specs.DeviceFinding(
        "Radeon 780M",
        "amd",
        why="The installed torch is built for the CPU alone",
        remedy="make setup TORCH=rocm",
    )
    plain = snapshot()
    engine = shop(engine=msgspec.structs.replace(plain.engine, devices=(gpu,)))
    async with open_desk(engine, size) as desk:
        head = (await desk.until("unused")).split("\n")[0]
        assert "! Radeon 780M unused: make setup TORCH=rocm" in head
        await desk.press("f2")
        words = "The installed torch is built for the CPU alone: make setup TORCH=rocm"
        await desk.until(lambda: words in " ".join(desk.text().split()))


async def test_f2_comes_and_goes_and_the_palette_knows_it() -> None:
    async with open_desk(shop()) as desk:
        await browse(desk)
        await desk.press("f2")
        await desk.until(lambda: desk.app.screen is desk.bench)
        await desk.press("ctrl+p", *"whether it fits", "enter")
        await desk.until("── demo")
        await desk.press("question_mark")
        await desk.until("Sorts by the next column.")


async def test_a_lost_engine_is_told_and_f9_mends_it() -> None:
    async with open_desk(shop()) as desk:
        await browse(desk)
        desk.engine.die()
        await desk.until("! The engine was killed")
        dials = desk.engine.dials
        await desk.press("f9")
        await desk.until(lambda: desk.engine.dials == dials + 1)
