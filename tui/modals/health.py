"""How fast the models answer here: averages over the last replies of each, and what to change."""

from __future__ import annotations

import textwrap

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from engine.api import commands
from tui import health_words
from tui.modals.dialog import Dialog
from tui.widgets.lines import line, name, stack

LABEL = 10
WIDTH = 62
"""Columns of text on the narrowest screen that has room for the panel."""


class HealthDialog(Dialog[None]):
    """Used last first; Escape and Enter close."""

    def __init__(self, report: commands.HealthReport) -> None:
        super().__init__()
        self._report = report

    def compose(self) -> ComposeResult:
        with VerticalScroll(classes="panel") as panel:
            panel.border_title = "How fast it answers here"
            panel.border_subtitle = "over the last ten replies · ↑ ↓ · Esc"
            yield Static(stack(lines(self._report)), classes="words", markup=False)

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()

    def action_cursor_up(self) -> None:
        self.query_one(VerticalScroll).scroll_up(animate=False)

    def action_cursor_down(self) -> None:
        self.query_one(VerticalScroll).scroll_down(animate=False)


def lines(report: commands.HealthReport) -> list[Content]:
    """Each model with a line for every form, and below that what is slow or high."""
    if not report.models:
        return [line("No reply has been measured yet. Ask something, then look again.")]
    told: list[Content] = []
    for model in dict.fromkeys(each.model for each in report.models):
        forms = [each for each in report.models if each.model == model]
        told += (
            [line(""), line((name(forms[0].name), "bold"))] if told else [line((name(forms[0].name), "bold"))]
        )
        for each in forms:
            told += _rows(health_words.form(each), health_words.averages(each), "$foreground")
            for label, words in map(health_words.finding, each.findings):
                told += _rows(label, words, "$warning")
            if health_words.tip(each):
                told += _rows("tip", health_words.tip(each), "$thought")
    return told


def _rows(label: str, words: str, style: str) -> list[Content]:
    wrapped = textwrap.wrap(name(words), WIDTH - LABEL) or [""]
    labels = [label, *[""] * (len(wrapped) - 1)]
    return [
        line((f"{each:<{LABEL}}", "$thought"), (text, style))
        for each, text in zip(labels, wrapped, strict=True)
    ]
