"""What a run did to its model: answers before and after, habits, what it forgot; keep or discard."""

from __future__ import annotations

from typing import Literal

from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from engine.api import commands
from tui.modals.dialog import Dialog
from tui.text import clean
from tui.widgets.lines import line, name, stack
from tui.widgets.run_lines import number

LABEL, CELL = 22, 9
"""Columns of a measure's name, and of its value."""
ADVICE = {"keep": "Keep it: ", "discard": "Better discard it: "}


class RunReportDialog(Dialog[Literal["chat", "discard"]]):
    """`c` chats with the result, `d` discards it; Escape keeps it."""

    DEFAULT_CSS = """
    RunReportDialog > .panel {
        width: 96;
        max-height: 90%;
        scrollbar-size-vertical: 1;
    }
    """

    def __init__(self, run: str, report: commands.RunReport) -> None:
        """`run`: its name."""
        super().__init__()
        self._run, self._report = run, report

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="panel") as panel:
            panel.border_title = f"What became of it · {name(self._run)}"
            panel.border_subtitle = "c chat · d discard · Esc keep"
            yield Static(stack(report_lines(self._report)), classes="words", markup=False)

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def on_key(self, event: events.Key) -> None:
        if event.key in ("c", "d"):
            event.stop()
            self.dismiss("chat" if event.key == "c" else "discard")

    def action_cursor_up(self) -> None:
        self.query_one(VerticalScroll).scroll_up(animate=False)

    def action_cursor_down(self) -> None:
        self.query_one(VerticalScroll).scroll_down(animate=False)


def report_lines(report: commands.RunReport) -> list[Content]:
    """The advice, then the measures, then the answers."""
    lines: list[Content] = []
    if report.why:
        lines += [line((ADVICE.get(report.advice, ""), "bold"), f"{clean(report.why)}."), line("")]
    measures = _measures(report)
    if measures:
        head = f"{'':<{LABEL}}{'before':>{CELL}}{'after':>{CELL}}"
        lines += [line((head, "$thought")), *measures, line("")]
    for answer in report.answers:
        lines.append(line((clean(answer.prompt), "bold")))
        lines.append(line(("  before  ", "$thought"), clean(answer.before)))
        lines += [line(("  after   ", "$thought"), clean(answer.after)), line("")]
    return lines or [line(("Nothing was measured.", "$thought"))]


def _measures(report: commands.RunReport) -> list[Content]:
    rows: list[tuple[str, str, str]] = []
    if report.before is not None and report.after is not None:
        rows.append(("answers that end", f"{report.before.stopped:.0%}", f"{report.after.stopped:.0%}"))
        rows.append(("repeated in answers", f"{report.before.repeated:.0%}", f"{report.after.repeated:.0%}"))
    if report.general_before is not None and report.general_after is not None:
        before, after = number(report.general_before), number(report.general_after)
        rows.append(("loss on general text", before, after))
    return [line((f"{label:<{LABEL}}", "$thought"), f"{a:>{CELL}}{b:>{CELL}}") for label, a, b in rows]
