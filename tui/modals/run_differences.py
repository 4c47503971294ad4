"""What differs between runs: one sentence a run, then the settings that are not the same, and no others."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Static

from engine.api import runs
from tui.format import shorten
from tui.modals.dialog import Dialog
from tui.overlay_cells import colour, letter
from tui.run_diff import Difference, differing, sentence
from tui.widgets.lines import line, name, stack

LABEL, CELL = 14, 12
"""Columns of a setting's name, and of a value at least."""


class RunDifferences(Dialog[None]):
    """Shows as many runs as there is room for, and counts the others."""

    DEFAULT_CSS = """
    RunDifferences > .panel {
        width: 94%;
    }
    RunDifferences VerticalScroll {
        height: auto;
        max-height: 100%;
    }
    """

    def __init__(self, found: list[runs.RunInfo], numbers: dict[str, int]) -> None:
        super().__init__()
        self._runs, self._numbers = found, numbers

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel") as panel:
            panel.border_title = "What differs"
            panel.border_subtitle = "Esc"
            with VerticalScroll():
                yield Static(classes="words", markup=False)

    def on_mount(self) -> None:
        self.query_one(Static).update(self.words(self.app.size.width * 94 // 100 - 8))

    def on_resize(self) -> None:
        self.on_mount()

    def words(self, width: int) -> Content:
        """The sentences, then the table."""
        first = self._runs[0]
        lines = [self._sentence(first, run, width) for run in self._runs[1:]]
        found = differing(self._runs)
        if not found:
            return stack([*lines, line(""), line(("All settings are the same.", "$thought"))])
        room = min(len(self._runs), max(1, (width - LABEL) // CELL))
        wide = min(28, (width - LABEL) // room)
        head = [self._title(run, wide) for run in self._runs[:room]]
        lines += [line(""), line(f"{'':<{LABEL}}", *head)]
        lines += [_row(each, room, wide) for each in found]
        if room < len(self._runs):
            rest = len(self._runs) - room
            lines += [line((f"{rest} more {'run' if rest == 1 else 'runs'} than fit here.", "$thought"))]
        return stack(lines)

    def _sentence(self, first: runs.RunInfo, run: runs.RunInfo, width: int) -> Content:
        start = f"{name(first.name)} to {name(run.name)}: "
        return line((start, "$thought"), name(sentence(first, run))).truncate(width * 2, ellipsis=True)

    def _title(self, run: runs.RunInfo, wide: int) -> Content:
        sign = letter(self._numbers.get(run.id, 0))
        title = shorten(name(run.name), wide - 3)
        return line((sign, f"bold {colour(run.id)}"), (f" {title:<{wide - 2}}", "bold"))


def _row(found: Difference, room: int, wide: int) -> Content:
    cells = "".join(f"{shorten(name(text), wide - 1):<{wide}}" for text in found.values[:room])
    return line((f"{shorten(found.label, LABEL - 1):<{LABEL}}", "$thought"), cells)
