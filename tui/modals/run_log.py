"""The end of a run's log in plain lines, and where the whole of it lies."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from engine.api import commands, runs
from tui.format import clock, size
from tui.modals.dialog import Dialog
from tui.text import clean
from tui.widgets.lines import line, stack
from tui.widgets.run_lines import number

TAIL = 200
"""Lines shown at most."""


class RunLog(Dialog[None]):
    """`c` copies the path; Escape closes."""

    DEFAULT_CSS = """
    RunLog > .panel {
        width: 96;
        max-height: 80%;
        scrollbar-size-vertical: 1;
    }
    """

    def __init__(self, page: commands.RunPage) -> None:
        super().__init__()
        self._page = page

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="panel") as panel:
            path = clean(self._page.log)
            panel.border_title = f"Log · {path if len(path) < 70 else '…' + path[-68:]}"
            panel.border_subtitle = "↑ ↓ · c copies the path · Esc"
            yield Static(stack(log_lines(self._page)), classes="words", markup=False)

    def on_mount(self) -> None:
        panel = self.query_one(VerticalScroll)
        panel.focus()
        panel.scroll_end(animate=False)

    def on_key(self, event: events.Key) -> None:
        if event.key == "c":
            event.stop()
            self.app.copy_to_clipboard(self._page.log)

    def action_cursor_up(self) -> None:
        self.query_one(VerticalScroll).scroll_up(animate=False)

    def action_cursor_down(self) -> None:
        self.query_one(VerticalScroll).scroll_down(animate=False)


def log_lines(page: commands.RunPage) -> list[Content]:
    """Points and phases by time, the newest last."""
    told: list[tuple[float, Content]] = [(mark.at, _mark(mark)) for mark in page.marks]
    told += [(point.at, _point(point)) for point in page.points]
    told.sort(key=lambda each: each[0])
    return [content for _, content in told[-TAIL:]] or [line(("No step yet.", "$thought"))]


def _mark(mark: runs.PhaseMark) -> Content:
    return line(
        (f"{clock(mark.at):<6}", "$thought"),
        (f"{mark.phase}", "bold"),
        (f"  {size(mark.memory)}", "$thought"),
    )


def _point(point: runs.StepPoint) -> Content:
    if point.loss is None:
        return line(f"      step {point.step:>6,}", (f"  eval {number(point.eval_loss)}", "bold"))
    words = f"  rate {point.rate:.2e}  gradient {point.grad_norm:.2f}  {point.seconds:.2f} s"
    return line(f"      step {point.step:>6,}", f"  loss {number(point.loss)}", (words, "$thought"))
