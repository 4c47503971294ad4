"""The numbers of the memory screen, in sections; what has no room is reached by scrolling."""

from __future__ import annotations

from textual.content import Content

from tui.memory_view import MemoryView
from tui.state import State
from tui.widgets.lines import line
from tui.widgets.memory_compare import compare_section
from tui.widgets.memory_sections import (
    all_held,
    phases_section,
    pools_section,
    strain_section,
    torch_section,
)
from tui.widgets.painted import Painted


class MemoryFacts(Painted):
    """Sections under each other; of two tracks their comparison first."""

    DEFAULT_CSS = """
    MemoryFacts {
        width: 46;
        height: 1fr;
        background: $background;
    }
    """

    def __init__(self, state: State, view: MemoryView) -> None:
        super().__init__()
        self._state, self._view = state, view
        self.sources = False
        """Whether each number says where it comes from."""
        self._top = 0
        self._whole = 0

    def scroll_rows(self, by: int) -> None:
        """Up or down by rows, as far as there is something."""
        self._top = min(max(0, self._whole - self.size.height), max(0, self._top + by))
        self.redraw()

    def lines(self, width: int, height: int) -> list[Content]:
        """The rows that fit, and how many more there are."""
        found: list[Content] = []
        for section in self._sections(width):
            if section:
                found += [*section, line("")]
        found = found[:-1]
        self._whole = len(found)
        top = min(self._top, max(0, len(found) - height))
        shown = found[top : top + height]
        more = len(found) - top - height
        if more > 0 and height > 2:
            shown[-1] = line((f"   ↓ {more + 1} more", "$thought"))
        return shown

    def _sections(self, width: int) -> list[list[Content]]:
        engine, tracks = self._state.engine, self._view.tracks
        sample = engine.monitor
        compared = compare_section(tracks, width) if len(tracks) == 2 else []
        phases = phases_section(tracks[0], width) if len(tracks) == 1 else []
        if sample is None:
            return [compared, [line((" Nothing was measured yet.", "$thought"))], phases]
        return [
            compared,
            pools_section(sample, width, sources=self.sources),
            *all_held(engine, sample, width),
            phases,
            torch_section(sample.torch, width),
            strain_section(sample, width, sources=self.sources),
        ]
