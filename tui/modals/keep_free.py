"""Asks how much memory loads leave to other programs."""

from __future__ import annotations

from dataclasses import dataclass

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, Static

from tui.format import gib
from tui.modals.dialog import Dialog


@dataclass(frozen=True)
class Kept:
    """The answer."""

    gib: float | None
    """None: what suits the machine."""


class KeepFreeDialog(Dialog[Kept]):
    """Empty leaves it to Qwill."""

    def __init__(self, total: int, pool: str, now: float | None, own: int) -> None:
        """`total` bytes of the pool; `now` GiB as it is set; `own` bytes are what suits the machine."""
        super().__init__()
        self._total, self._pool, self._now, self._own = total, pool, now, own

    def compose(self) -> ComposeResult:
        words = (
            f"A load leaves so many GiB of the {gib(self._total)} of {self._pool} to other programs. Empty: "
            f"{gib(self._own)}, which suits this machine. It holds for every load from now on."
        )
        with Vertical(classes="panel") as panel:
            panel.border_title = "Keep free"
            panel.border_subtitle = "Enter keep · Esc"
            yield Input(
                "" if self._now is None else f"{self._now:g}", placeholder=gib(self._own), max_length=8
            )
            yield Static(words, classes="quiet", markup=False)
            yield Static("", classes="grave", markup=False)

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    def on_input_submitted(self) -> None:
        self.action_accept()

    def action_accept(self) -> None:
        typed = self.query_one(Input).value.strip().replace(",", ".").lower().removesuffix("g").strip()
        try:
            wanted = float(typed) if typed else None
        except ValueError:
            wanted = -1.0
        if wanted is not None and not 0 <= wanted <= self._total / 2**30:
            words = f"Write a number of GiB from 0 to {gib(self._total)}."
            self.query_one(".grave", Static).update(words)
        else:
            self.dismiss(Kept(wanted))
