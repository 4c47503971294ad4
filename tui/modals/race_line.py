"""Asks what a race varies: one line, with the number of runs and their time told as it is typed."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, Static

from tui.modals.dialog import Dialog
from tui.race_line import EXAMPLES, Asked, read, told
from tui.widgets.lines import line, stack


class RaceLine(Dialog[Asked]):
    """Dismisses with what was asked for."""

    def __init__(self, value: str, one_s: float | None) -> None:
        """`one_s`: seconds of a single run, where they are known."""
        super().__init__()
        self._value, self._one_s = value, one_s

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel") as panel:
            panel.border_title = "Race"
            panel.border_subtitle = "Enter starts · Esc"
            yield Input(self._value, placeholder=EXAMPLES[0][0], max_length=400)
            yield Static(classes="told", markup=False)
            wide = max(len(example) for example, _ in EXAMPLES) + 2
            rows = [line((f"{example:<{wide}}"), (about, "$thought")) for example, about in EXAMPLES]
            yield Static(stack([line(""), *rows]), classes="words examples", markup=False)
            yield Static(
                "\nSame data, same held-out rows, same steps. Seeds of one setting count together.",
                classes="quiet",
                markup=False,
            )

    def on_mount(self) -> None:
        self._tell()

    def learn(self, one_s: float) -> None:
        """A single run's time, where it was not known yet."""
        self._one_s = one_s
        if self.is_mounted:
            self._tell()

    def on_input_changed(self) -> None:
        self._tell()

    def _tell(self) -> None:
        words, fine = told(self.query_one(Input).value, self._one_s)
        place = self.query_one(".told", Static)
        place.update(words or "Say what to vary, as below.")
        place.set_class(not fine, "quiet")

    def on_input_submitted(self) -> None:
        self.action_accept()

    def action_accept(self) -> None:
        value = self.query_one(Input).value
        words, fine = told(value, self._one_s)
        if fine:
            self.dismiss(read(value))
        elif words:
            place = self.query_one(".told", Static)
            place.set_class(False, "quiet")
            place.add_class("grave")
