"""The lists behind the train form: datasets to choose from, and lines of the data that need a look."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from engine.api import runs
from tui.format import plural
from tui.modals.dialog import Dialog
from tui.modals.picker import Choice, Picker
from tui.text import clean
from tui.widgets.lines import line, name, stack

MARKED = "marked replies"
"""Id of the choice that stands for what was marked."""


def dataset_picker(datasets: tuple[runs.Dataset, ...], marked: int = 0) -> Picker:
    """One's own marked replies, if there are any, and what comes with Qwill; dismisses with an id."""
    own = [_marked(marked)] if marked else []
    return Picker(
        "Datasets",
        [*own, *(_choice(each) for each in datasets)],
        placeholder="Type to filter; a file of your own goes into the field as a path",
        empty="No dataset matches.",
    )


def _choice(dataset: runs.Dataset) -> Choice:
    right = line((f"{dataset.id}  {plural(dataset.rows, 'row')}", "$thought"))
    return Choice(
        dataset.id, line(name(dataset.title)), right, f"{dataset.title} {dataset.about} {dataset.id}"
    )


def _marked(count: int) -> Choice:
    words = f"My marked replies ({count:,})"
    right = line(("good and edited ones", "$thought"))
    return Choice(MARKED, line((words, "bold")), right, f"{words} good edited")


class Problems(Dialog[None]):
    """Line, key and what is wrong; Escape closes."""

    DEFAULT_CSS = """
    Problems > .panel {
        width: 96;
        max-height: 80%;
        scrollbar-size-vertical: 1;
    }
    """

    def __init__(self, report: runs.DatasetReport) -> None:
        super().__init__()
        self._report = report

    def compose(self) -> ComposeResult:
        report = self._report
        with VerticalScroll(classes="panel") as panel:
            panel.border_title = f"{plural(report.problem_count, 'line')} of the data to look at"
            panel.border_subtitle = "↑ ↓ · Esc"
            yield Static(
                stack([_line(problem) for problem in report.problems]), classes="words", markup=False
            )
            more = report.problem_count - len(report.problems)
            if more > 0:
                yield Static(f"\nand {more:,} more", classes="quiet", markup=False)

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def action_cursor_up(self) -> None:
        self.query_one(VerticalScroll).scroll_up(animate=False)

    def action_cursor_down(self) -> None:
        self.query_one(VerticalScroll).scroll_down(animate=False)


def _line(problem: runs.Problem) -> Content:
    left = (f"{problem.line:>6}  ", "$foreground")
    key = (f"{name(problem.key)}  " if problem.key else "", "$accent")
    used = "" if problem.fatal else " (used all the same)"
    return line(left, key, (clean(problem.what) + used, "$foreground 80%"))
