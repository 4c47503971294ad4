"""Over a network what was typed is painted before a frame that grows, and the frame loses nothing by it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from textual._compositor import ChopsUpdate
from textual.app import App, ComposeResult
from textual.widgets import Static

from tests.support.fake_engine import FakeEngine
from tests.tui.desk import NARROW, open_desk
from tui import environment
from tui.driver import TerminalDriver
from tui.screens.typed_first import BREATH, ON_THE_WAY, TypedFirst
from tui.widgets.follower import JUMP

FIELD = 8
"""The row of the field, below eight rows that grow."""


class Page(TypedFirst):
    def compose(self) -> ComposeResult:
        yield Static("", id="grown")
        yield Static("", id="field")


class Painter(App[None]):
    """Notes the rows of each painting."""

    CSS = "Static { height: 1; } #grown { height: 8; }"

    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self.painted: list[set[int]] = []

    def get_default_screen(self) -> Page:
        return self.page

    def _display(self, screen: Any, renderable: Any) -> None:
        if isinstance(renderable, ChopsUpdate):
            self.painted.append({y for y, _, _ in renderable.spans})
        super()._display(screen, renderable)

    def write(self) -> tuple[Static, Static]:
        """Something new in both parts, not painted yet."""
        grown, field = self.page.query_one("#grown", Static), self.page.query_one("#field", Static)
        self.painted.clear()
        grown.update("\n".join("reply" * 3 for _ in range(8)))
        field.update("typed")
        self.page._dirty_widgets |= {grown, field}
        return grown, field

    def on_the_screen(self) -> list[str]:
        strips = self.page._compositor.render_strips()
        return ["".join(segment.text for segment in strip).strip() for strip in strips]


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "REMOTE", True)


async def test_the_field_is_painted_alone_and_the_rest_follows(remote: None) -> None:
    app = Painter()
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.pause(2 * BREATH)
        _, field = app.write()
        app.page.show_typed(field)
        assert app.painted == [{FIELD}]
        await pilot.pause(4 * BREATH)
        assert set(range(8)) <= set().union(*app.painted)
        assert app.on_the_screen()[:9] == ["reply" * 3] * 8 + ["typed"]
        assert not app.page._compositor._dirty_regions


async def test_a_layout_is_painted_a_breath_later(remote: None) -> None:
    app = Painter()
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.pause(2 * BREATH)
        grown, _ = app.write()
        grown.styles.height = 7
        app.page._refresh_layout()
        assert app.painted == []
        await pilot.pause(4 * BREATH)
        assert app.on_the_screen()[:8] == ["reply" * 3] * 7 + ["typed"]


async def test_what_changes_between_layout_and_painting_is_painted_too(remote: None) -> None:
    app = Painter()
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.pause(2 * BREATH)
        app.page._refresh_layout()
        app.page._compositor._dirty_regions.clear()
        app.write()
        app.page._paint()
        assert app.painted == [set(range(9))]


async def test_on_this_machine_a_layout_is_painted_at_once() -> None:
    app = Painter()
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.pause()
        grown, _ = app.write()
        grown.styles.height = 7
        app.page._refresh_layout()
        assert app.painted


async def test_a_painting_waits_for_a_key_but_not_for_one_that_shows_nothing(
    remote: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = Painter()
    async with app.run_test(size=(40, 12)) as pilot:
        await pilot.pause(2 * BREATH)
        driver = object.__new__(TerminalDriver)
        driver.typed = time.monotonic()
        with monkeypatch.context() as patch:
            patch.setattr(app, "_driver", driver)
            assert app.page._key_on_the_way()
            driver.typed -= ON_THE_WAY
            assert not app.page._key_on_the_way()
            driver.typed = time.monotonic()
            app.page._shown = driver.typed
            assert not app.page._key_on_the_way()


async def test_what_is_typed_is_painted_when_it_is_typed(
    remote: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_desk() as desk:
        painted: list[str] = []
        monkeypatch.setattr(desk.bench, "show_typed", lambda field: painted.append(field.text))
        desk.bench.composer.insert("a")
        assert painted == ["a"]  # not after the news of it has come by every widget in between


async def test_over_a_network_a_chat_scrolls_by_several_rows(remote: None) -> None:
    engine = FakeEngine()
    async with open_desk(engine, NARROW) as desk:
        await desk.say("Count.")
        tops, text = [], ""
        for number in range(1, 24):
            text += f"row{number}\n\n"
            engine.answer(text)
            await desk.until(lambda number=number: f"row{number}" in desk.text())
            await desk.pilot.pause(2 * BREATH)
            tops.append(round(desk.bench.transcript.scroll_y))
        assert desk.bench.transcript.following
        tops = [top for top in tops if top > 0]  # before that all of it fits
        assert len(tops) > 8
        assert {(top - tops[0]) % JUMP for top in tops} == {0}
        assert tops[-1] - tops[0] > 3 * JUMP
        engine.finish(text)
        await desk.until(lambda: not desk.bench.transcript.busy)
