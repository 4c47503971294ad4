"""The same workbench at 120, 80 and 40 columns."""

from __future__ import annotations

import pytest

from tests.support.fake_engine import BASE, DEMO, FakeEngine, snapshot
from tests.tui.desk import NARROW, TINY, WIDE, open_desk


@pytest.mark.parametrize("size", [WIDE, NARROW, TINY], ids=["120x40", "80x24", "40x12"])
async def test_a_chat_works_and_no_line_is_too_long(size: tuple[int, int]) -> None:
    async with open_desk(size=size) as desk:
        await desk.replied("What is 482 + 359?", "It is **841**.", "carry")
        text = await desk.until("It is 841.")
        assert "demo" in text
        assert "thinking on" in text
        lines = text.split("\n")
        assert len(lines) == size[1]
        assert max(map(len, lines)) <= size[0]


async def test_wide_shows_three_panes() -> None:
    async with open_desk(size=WIDE) as desk:
        text = await desk.until("MODELS")
        assert all(word in text for word in ("CHATS", "SPEED", "MEMORY", "Ctrl+P commands"))


async def test_narrow_has_drawers_and_the_speed_in_the_header() -> None:
    async with open_desk(size=NARROW) as desk:
        await desk.say("hi")
        desk.engine.think("hm", tokens=5, seconds=0.2)
        await desk.until("41.2 tok/s")
        assert "MODELS" not in desk.text()
        await desk.press("shift+tab")
        await desk.until("MODELS")
        desk.engine.finish("hi")
        await desk.until(lambda: desk.bench.state.live() is None)
        await desk.press("escape")
        await desk.until(lambda: "MODELS" not in desk.text())
        await desk.press("alt+m")
        await desk.until("MEMORY")
        await desk.press("alt+m")
        await desk.until(lambda: "MEMORY" not in desk.text())


async def test_narrow_tab_opens_and_leaves_the_drawer() -> None:
    async with open_desk(size=NARROW) as desk:
        await desk.press("tab", "tab")
        await desk.until("MODELS")
        await desk.press("tab")
        await desk.until(lambda: "MODELS" not in desk.text())
        assert desk.app.focused is desk.bench.composer


async def test_tiny_is_the_chat_and_one_line_of_state() -> None:
    async with open_desk(size=TINY) as desk:
        text = await desk.until("demo · thinking on")
        assert "Qwill" not in text
        assert text.split("\n")[-1].startswith(" demo · thinking on")


async def test_resizing_keeps_the_draft_and_brings_the_panes_back() -> None:
    async with open_desk(size=WIDE) as desk:
        await desk.press(*"draft")
        for size in (NARROW, TINY, WIDE):
            await desk.pilot.resize_terminal(*size)
            await desk.until(lambda: "draft" in desk.text())
        await desk.until("MODELS")


async def test_a_base_model_opens_in_completion_mode_and_says_why() -> None:
    engine = FakeEngine(snapshot(models=(DEMO, BASE), default_model=BASE.id))
    async with open_desk(engine) as desk:
        text = await desk.until("completion")
        assert "Qwen3-0.6B-Base is a base model without a chat template." in text


async def test_a_picture_of_the_screen_is_written(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(str(tmp_path))
    async with open_desk() as desk:
        desk.bench.composer.put("/screenshot")
        await desk.press("enter")
        await desk.until("The picture is in")
    from pathlib import Path

    (picture,) = Path(str(tmp_path)).glob("*.svg")
    assert "MODELS" in picture.read_text()
