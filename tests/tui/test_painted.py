"""Widgets that paint only what changed: what stands on the screen is what the state last said."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.content import Content

from tui.widgets.painted import Painted


class Counter(Painted):
    """Shows as many numbered lines as it is told."""

    texts: tuple[str, ...] = ("one", "two", "three")

    def lines(self, width: int, height: int) -> list[Content]:
        return [Content(text) for text in self.texts]


class Page(App[None]):
    def compose(self) -> ComposeResult:
        yield Counter()


def shown(app: Page) -> list[str]:
    strips = app.screen._compositor.render_strips()
    return ["".join(segment.text for segment in strip).strip() for strip in strips][:4]


async def test_a_state_that_moves_on_before_the_paint_leaves_no_stale_line() -> None:
    app = Page()
    async with app.run_test(size=(20, 6)) as pilot:
        counter = app.query_one(Counter)
        assert shown(app)[:3] == ["one", "two", "three"]
        counter.texts = ("one", "2", "three")
        counter.redraw()
        counter.texts = ("new", "one", "2", "three")  # before the second line was painted
        await pilot.pause()
        counter.redraw()
        await pilot.pause()
        assert shown(app) == ["new", "one", "2", "three"]


async def test_fewer_lines_leave_none_behind() -> None:
    app = Page()
    async with app.run_test(size=(20, 6)) as pilot:
        counter = app.query_one(Counter)
        counter.texts = ("one",)
        counter.redraw()
        await pilot.pause()
        assert shown(app) == ["one", "", "", ""]
