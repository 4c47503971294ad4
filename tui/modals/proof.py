"""Whether an adapter is active, with both texts; and what an export wrote."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Static

from engine.api import commands
from tui.format import shorten, size
from tui.modals.dialog import Dialog
from tui.text import clean
from tui.widgets.lines import name

BRIEF = 240
"""Characters of each text that are shown."""


class ProofDialog(Dialog[None]):
    """The sentence first, then what both said."""

    def __init__(self, adapter: str, proof: commands.Proof) -> None:
        super().__init__()
        self._adapter = adapter
        self._proof = proof

    def compose(self) -> ComposeResult:
        proof = self._proof
        with VerticalScroll(classes="panel") as panel:
            panel.border_title = "Is it active?"
            panel.border_subtitle = "Enter · Esc"
            yield Static(f"{clean(proof.words)}.", classes="words" if proof.active else "grave", markup=False)
            yield Static(f"\nAsked  {clean(proof.prompt)}", classes="quiet", markup=False)
            said = (("The model alone", proof.base_text), (f"+ {name(self._adapter)}", proof.text))
            for title, text in said:
                yield Static(f"\n{title}", classes="quiet", markup=False)
                yield Static(clean(shorten(" ".join(text.split()), BRIEF)), classes="words", markup=False)


class ExportReport(Dialog[bool]):
    """What was written and how it compared; True: take it back."""

    def __init__(self, exported: commands.Exported) -> None:
        super().__init__()
        self._exported = exported

    def compose(self) -> ComposeResult:
        exported, check = self._exported, self._exported.check
        failed = check.done and not check.ok
        with VerticalScroll(classes="panel") as panel:
            panel.border_title = "Exported, but it did not pass its check" if failed else "Exported"
            panel.border_subtitle = (
                "Enter keeps it · z takes it back · Esc" if exported.path else "Enter · Esc"
            )
            if exported.path:
                words = f"{name(exported.path)}  {size(exported.bytes_on_disk)}"
                yield Static(words, classes="words", markup=False)
            yield Static(f"\n{clean(check.words)}.", classes="grave" if failed else "quiet", markup=False)
            kept = (f"What was there is kept: {name(exported.kept)}",) if exported.kept else ()
            for note in (*exported.notes, *kept):
                yield Static(f"\n{clean(note)}.", classes="quiet", markup=False)
            if exported.command:
                yield Static(f"\n{clean(exported.command)}", classes="words", markup=False)

    def key_z(self) -> None:
        if self._exported.path:
            self.dismiss(True)
