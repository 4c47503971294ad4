"""Images in the composer and in the transcript."""

from __future__ import annotations

import io
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from engine.api import commands, specs
from tests.support.fake_engine import DEMO, FakeEngine, snapshot
from tests.tui.desk import Desk, open_desk
from tui.widgets.picture import Picture

SEEING = msgspec.structs.replace(DEMO, family="qwen3_vl", vision=True)
CAT = specs.ImageRef("a" * 64, "cat.png", 640, 480)


def png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (32, 24), "red").save(out, "PNG")
    return out.getvalue()


def engine(*, vision: bool = True) -> FakeEngine:
    """One that takes an image in two pages."""
    made = FakeEngine(snapshot(models=(SEEING if vision else DEMO,)))
    made.answers[commands.PutImage] = lambda page: commands.Upload("u", CAT if page.last else None)
    made.answers[commands.ReadImage] = lambda _: commands.Preview(png())
    return made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cat.png").write_bytes(png())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def images(desk: Desk) -> tuple[specs.ImageRef, ...]:
    return desk.bench.state.images.get(desk.bench.state.chat, ())


async def test_an_image_is_attached_sent_and_shown(folder: Path) -> None:
    pytest.importorskip("textual_image")
    async with open_desk(engine()) as desk:
        await desk.say_command("/image cat.png")
        await desk.until("@cat.png 640×480")
        await desk.say("What is this?")
        assert desk.engine.asked(commands.Send)[0].images == (CAT,)
        await desk.until("[image cat.png 640×480]")
        assert images(desk) == ()
        assert "@cat.png" not in desk.text()
        picture = desk.bench.query_one(Picture)
        await desk.until(lambda: len(picture.children) == 2)
        assert picture.size.height == 13
        assert desk.engine.asked(commands.ReadImage)[0].image == CAT.id


async def test_where_images_cannot_be_shown_a_line_stands_for_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with open_desk(engine()) as desk:
        await desk.say_command("/image cat.png")
        await desk.until("@cat.png")
        await desk.say("What is this?")
        await desk.until("[image cat.png 640×480]")
        assert desk.bench.query_one(Picture).size.height == 1
        assert not desk.engine.asked(commands.ReadImage)


async def test_a_mention_of_an_image_attaches_it_as_one(folder: Path) -> None:
    async with open_desk(engine()) as desk:
        await desk.press(*"look @ca")
        await desk.until(lambda: desk.bench.composer.completing)
        await desk.press("tab")
        await desk.until(lambda: images(desk) == (CAT,))
        assert desk.bench.composer.text == "look "


async def test_a_model_that_cannot_see_keeps_message_and_chip(folder: Path) -> None:
    blind = engine(vision=False)
    blind.refuse(commands.Send, "no_vision", "demo cannot see images", remedy="Choose a Qwen3-VL model")
    async with open_desk(blind) as desk:
        await desk.say_command("/image cat.png")
        await desk.until("demo cannot see cat.png")
        desk.bench.composer.put("What is this?")
        await desk.press("enter")
        await desk.until(lambda: desk.engine.asked(commands.Send) and desk.bench.composer.text)
        assert desk.bench.composer.text == "What is this?"
        assert images(desk) == (CAT,)
        await desk.until("@cat.png 640×480")


async def test_an_image_is_taken_away_and_brought_back(folder: Path) -> None:
    async with open_desk(engine()) as desk:
        await desk.say_command("/image cat.png")
        await desk.until("@cat.png")
        await desk.press("backspace", "backspace")
        await desk.until(lambda: images(desk) == ())
        await desk.say_command("/detach undo")
        await desk.until(lambda: images(desk) == (CAT,))


async def test_what_is_no_image_is_told_in_a_sentence(folder: Path) -> None:
    made = engine()
    made.refuse(commands.PutImage, "image_refused", "cat.png is damaged and cannot be decoded")
    async with open_desk(made) as desk:
        await desk.say_command("/image cat.png")
        await desk.until("cat.png is damaged and cannot be decoded.")
        await desk.say_command("/image gone.png")
        await desk.until("gone.png cannot be read: no such file or directory.")
        assert images(desk) == ()


async def test_attached_images_wait_for_the_next_start(folder: Path) -> None:
    async with open_desk(engine()) as desk:
        await desk.say_command("/image cat.png")
        await desk.until(lambda: images(desk) == (CAT,))
    async with open_desk(engine()) as desk:
        await desk.until("@cat.png 640×480")
        assert images(desk) == (CAT,)
