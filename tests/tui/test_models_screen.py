"""The model browser (F2): what it shows of each model, and what its keys do."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from engine.api import ErrorInfo, commands, events, runs, specs
from tests.support.fake_engine import BASE, DEMO, REAL, SAMPLE, FakeEngine, snapshot
from tests.tui.desk import NARROW, TINY, WIDE, Desk, open_desk
from tui.model_rows import Row
from tui.screens.model_page import ModelPage
from tui.screens.models import Models
from tui.widgets.model_table import ModelTable

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
    id="/models/odd", name="odd", support="unsupported", why="Its weights are a pickle file", bytes_on_disk=9
)
ADAPTER = runs.AdapterInfo(
    id="r1", name="pirate-r16", path="/runs/r1", base=REAL.id, rank=16, loss=0.61, created=1.0
)


QWEN4 = "Qwen/Qwen3-4B"
HUB = commands.HubModel(
    id=QWEN4,
    sha="abc",
    total=8_000_000_000,
    free=90_000_000_000,
    files=(commands.HubFile("model.safetensors", 8_000_000_000, "weights", needed=True),),
    card="---\nlicense: x\n---\n# The card\n\nWith **words** and \x1b[31m a [link](http://x.invalid).\n",
)


@pytest.fixture(autouse=True)
def a_steady_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Predicted speeds must not hang on how busy the machine is that tests run on."""
    monkeypatch.setattr("engine.models.bandwidth.memory_bandwidth", lambda: 30e9)


def shop(**changes: object) -> FakeEngine:
    models = (ODD, DEMO, HUGE, REAL_SIZED, BASE)
    return FakeEngine(snapshot(**{"models": models, "adapters": (ADAPTER,)} | changes))


def table(desk: Desk) -> ModelTable:
    return desk.app.screen.query_one(ModelTable)


async def browse(desk: Desk, key: str = "") -> str:
    """F2, the catalogue ranked; with `key`, the cursor on that row."""
    await desk.press("f2")
    await desk.until(lambda: isinstance(desk.app.screen, Models) and desk.app.screen.known.picks is not None)
    if key:
        table(desk).cursor = key
        desk.app.screen.draw()
    await desk.pilot.pause()
    return desk.text()


def row_of(text: str, model: str) -> str:
    return next(line for line in text.split("\n") if line[3:].startswith(model))


@pytest.mark.parametrize("size", [WIDE, NARROW, TINY], ids=["120x40", "80x24", "40x12"])
async def test_every_size_shows_whether_a_model_fits(size: tuple[int, int]) -> None:
    async with open_desk(shop(), size) as desk:
        text = await browse(desk)
        assert "✗ no" in row_of(text, "Huge-70B")
        assert "✓ fits" in row_of(text, "Qwen3-1.7B")
        assert "● loaded" in row_of(text, "demo")
        lines = text.split("\n")
        assert len(lines) == size[1]
        assert max(map(len, lines)) <= size[0]


async def test_the_sections_tell_what_is_here_what_would_fit_and_what_the_hub_is_asked_for() -> None:
    async with open_desk(shop()) as desk:
        text = await browse(desk)
        assert text.index("HERE") < text.index("CATALOGUE") < text.index("HUB")
        best = [item for item in table(desk).items if isinstance(item, Row) and item.section == "catalogue"]
        assert best
        assert all(row.verdict == "fits" for row in best)
        assert desk.engine.asked(commands.SearchHub) == []
        await desk.press("tab")
        assert table(desk).row is best[0]
        await desk.press("tab", "enter", *"coder", "escape")
        assert desk.engine.asked(commands.SearchHub) == []


async def test_the_detail_tells_the_fit_by_parts_and_what_the_catalogue_knows() -> None:
    async with open_desk(shop()) as desk:
        text = await browse(desk, f"here:{REAL.id}")
        assert "█ weights" in text
        assert "kept free 1.5 G" in text
        assert "Apache-2.0" in text
        assert "temperature 0.6 · top_k 20" in text
        assert "pirate-r16 (rank 16, loss 0.61)" in text
        assert "/models/qwen" in text


async def test_q_packs_the_weights_and_plus_lengthens_the_context_before_a_load() -> None:
    async with open_desk(shop()) as desk:
        await browse(desk, f"here:{REAL.id}")
        plain = table(desk).row.forecast
        await desk.press("q")
        packed = table(desk).row.forecast
        assert (plain.kind, packed.kind) == ("bfloat16", "int8")
        assert packed.parts.weights < plain.parts.weights
        assert packed.tokens_per_s > plain.tokens_per_s > 0
        await desk.press("plus")
        assert table(desk).row.forecast.context == 2 * packed.context
        await desk.press("minus", "minus")
        assert table(desk).row.forecast.context == packed.context // 2
        await desk.press("l")
        await desk.until(lambda: len(desk.engine.asked(commands.LoadModel)) > 0)
        assert desk.engine.asked(commands.LoadModel)[-1].quant == "int8"
        assert desk.bench.state.model_id() == "demo"


async def test_one_that_cannot_be_loaded_stands_last_and_says_why() -> None:
    async with open_desk(shop()) as desk:
        await browse(desk, f"here:{ODD.id}")
        for key in ("s", "S", "s"):
            await desk.press(key)
            here = [item for item in table(desk).items if isinstance(item, Row) and item.section == "here"]
            assert here[-1].id == ODD.id
        text = await desk.until("Its weights are a pickle file.")
        assert "– no" in row_of(text, "odd")
        await desk.press("enter")
        await desk.until("odd cannot be loaded")
        assert desk.engine.asked(commands.LoadModel) == []


async def test_enter_loads_shows_progress_and_goes_back_once_it_is_ready() -> None:
    async with open_desk(shop()) as desk:
        await browse(desk, f"here:{REAL.id}")
        await desk.press("enter")
        await desk.until(lambda: desk.engine.asked(commands.LoadModel))
        assert desk.engine.asked(commands.LoadModel)[-1].model == REAL.id
        assert desk.bench.state.model_id() == REAL.id
        await desk.until("as soon as it is loaded")
        desk.engine.emit(events.ModelLoading(model=REAL.id, progress=0.4, phase="reading the weights"))
        text = await desk.until("40 % · reading")
        assert "40 %" in row_of(text, "Qwen3-1.7B")
        ready = msgspec.structs.replace(REAL_SIZED, state="ready", memory=3 << 30)
        desk.engine.emit(events.ModelChanged(model=ready))
        await desk.until("3.0 G held")
        await desk.press("enter")
        await desk.until(lambda: desk.app.screen is desk.bench)
        assert desk.app.focused is desk.bench.composer


async def test_escape_cancels_a_load_and_then_leaves_and_u_unloads() -> None:
    async with open_desk(shop()) as desk:
        await browse(desk, f"here:{REAL.id}")
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


async def test_the_filter_narrows_all_sections_and_goes_with_escape() -> None:
    async with open_desk(shop()) as desk:
        await browse(desk)
        await desk.press("slash", *"vision fits")
        shown = [item for item in table(desk).items if isinstance(item, Row)]
        assert shown
        assert all(row.section == "catalogue" and "vision" in row.entry.use for row in shown)
        assert desk.engine.asked(commands.UnloadModel) == []
        await desk.press("escape")
        await desk.until("Huge-70B")
        await desk.press("escape")
        await desk.until(lambda: desk.app.screen is desk.bench)


async def test_c_narrows_the_catalogue_by_use_and_the_last_line_lists_all_of_it() -> None:
    async with open_desk(shop()) as desk:
        await browse(desk)
        await desk.press("c", "c", "c")
        await desk.until("CATALOGUE · code")
        screen = desk.app.screen
        await desk.until(lambda: all("code" in pick.entry.use for pick in screen.known.picks))
        short = len(table(desk).items)
        table(desk).cursor = "more"
        await desk.press("enter")
        assert len(table(desk).items) > short


async def test_a_model_of_the_catalogue_is_downloaded_after_one_question_and_then_answers() -> None:
    engine = shop()
    engine.answers[commands.ShowHubModel] = lambda _: HUB
    running = commands.DownloadInfo("d1", QWEN4, "main", "abc", "running", total=8 << 30, done=2 << 30)
    engine.answers[commands.StartDownload] = lambda _: running
    async with open_desk(engine) as desk:
        await browse(desk, f"catalogue:{QWEN4}")
        await desk.press("enter")
        text = await desk.until("and chat with it?")
        assert "7.5 G to download · 83.8 G free" in text
        await desk.press("enter")
        await desk.until("25 %")
        assert engine.asked(commands.StartDownload)[0].model == QWEN4
        await desk.press("escape")
        here = msgspec.structs.replace(REAL, id=QWEN4, name="Qwen3-4B")
        engine.answers[commands.ListModels] = lambda _: commands.ModelList(models=(DEMO, here))
        engine.emit(events.DownloadChanged(download=msgspec.structs.replace(running, state="done")))
        await desk.until(lambda: desk.bench.state.model_id() == QWEN4)
        await desk.until(lambda: [c.model for c in engine.asked(commands.LoadModel)] == [QWEN4])


async def test_a_download_is_stopped_by_d_and_what_failed_says_why() -> None:
    running = commands.DownloadInfo("d1", QWEN4, "main", "abc", "running", total=8 << 30, done=2 << 30)
    async with open_desk(shop(downloads=(running,))) as desk:
        await browse(desk, f"catalogue:{QWEN4}")
        assert "25 %" in desk.text()
        await desk.press("d")
        await desk.until(lambda: desk.engine.asked(commands.CancelDownload))
        error = ErrorInfo("disk_full", "The disk is full", "2 GiB are missing")
        desk.engine.emit(
            events.DownloadChanged(download=msgspec.structs.replace(running, state="failed", error=error))
        )
        await desk.until("The disk is full")


async def test_no_download_begins_where_the_disk_has_no_room() -> None:
    engine = shop()
    engine.answers[commands.ShowHubModel] = lambda _: msgspec.structs.replace(HUB, free=1 << 30)
    async with open_desk(engine) as desk:
        await browse(desk, f"catalogue:{QWEN4}")
        await desk.press("d")
        await desk.until("does not fit on the disk")
        await desk.press("escape")
        assert engine.asked(commands.StartDownload) == []


async def test_the_hub_is_searched_on_asking_and_a_refusal_is_told() -> None:
    engine = shop()
    rows = (commands.HubRow("someone/Odd-\x1b[31mname", downloads=12, parameters=10**9, kind="safetensors"),)
    engine.answers[commands.SearchHub] = lambda _: commands.HubRows(rows=rows)
    async with open_desk(engine) as desk:
        await browse(desk)
        await desk.press("h", *"odd one", "enter")
        await desk.until("HUB  “odd one”")
        assert engine.asked(commands.SearchHub)[0].query == "odd one"
        assert table(desk).row.section == "hub"
        assert "\x1b" not in desk.text()
        engine.refuse(commands.SearchHub, "hub_offline", "The hub cannot be reached", "HF_HUB_OFFLINE is set")
        await desk.press("h", *"more", "enter")
        await desk.until("HF_HUB_OFFLINE is set")


async def test_the_page_of_a_model_reads_its_card_and_scrolls() -> None:
    engine = shop()
    engine.answers[commands.ShowHubModel] = lambda _: HUB
    async with open_desk(engine, TINY) as desk:
        await browse(desk, f"catalogue:{QWEN4}")
        await desk.press("space")
        await desk.until(lambda: isinstance(desk.app.screen, ModelPage))
        assert engine.asked(commands.ShowHubModel) == []
        await desk.press("c")
        await desk.until(lambda: desk.app.screen.query(".card"))
        card = desk.app.screen.query_one(".card")
        await desk.until(lambda: "The card" in card.source)
        assert "license" not in card.source
        assert "\x1b" not in card.source
        await desk.press("space")
        await desk.until(lambda: isinstance(desk.app.screen, Models))


async def test_x_deletes_a_hub_model_after_telling_what_is_freed() -> None:
    engine = shop()
    sizes = (commands.CachedRevision("aa", size=4 << 30), commands.CachedRevision("bb", size=2 << 30))
    engine.answers[commands.DeleteCached] = lambda asked: commands.Freed(
        REAL.id, sizes, size=5 << 30, deleted=not asked.dry
    )
    async with open_desk(engine) as desk:
        await browse(desk, f"here:{REAL.id}")
        await desk.press("x")
        text = await desk.until("Delete Qwen3-1.7B")
        assert "5.0 G" in text
        assert "1.0 G more are shared" in " ".join(text.split())
        await desk.press("enter")
        await desk.until("5.0 G freed")
        assert [command.dry for command in engine.asked(commands.DeleteCached)] == [True, False]


async def test_a_adds_a_folder_and_a_wrong_one_says_why(home: Path) -> None:
    async with open_desk(shop()) as desk:
        await browse(desk)
        (home / "weights").mkdir()
        desk.engine.answers[commands.AddFolder] = lambda _: commands.ModelList(models=(DEMO, REAL))
        await desk.press("a", *str(home / "wei"))
        await desk.until("Add a folder")
        await desk.press("tab", "enter")
        await desk.until("2 models found")
        assert desk.engine.asked(commands.AddFolder)[0].path == str(home / "weights")
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
        await desk.until("No models were found")
        await desk.until("adds a folder that holds models")


async def test_with_the_demo_alone_the_welcome_names_a_first_model_and_f2_stands_on_it() -> None:
    async with open_desk(FakeEngine(snapshot(models=(DEMO,)))) as desk:
        text = await desk.until("then Enter gets Qwen")
        assert "tok/s" in text
        await browse(desk)
        assert table(desk).row.id == desk.bench.state.recommended


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
        await desk.until("comes with Qwill")
        await desk.press("question_mark")
        await desk.until("Sorts what is here by name, size or speed.")


async def test_a_lost_engine_is_told_and_f9_mends_it() -> None:
    async with open_desk(shop()) as desk:
        await browse(desk)
        desk.engine.die()
        await desk.until("! The engine was killed")
        dials = desk.engine.dials
        await desk.press("f9")
        await desk.until(lambda: desk.engine.dials == dials + 1)
