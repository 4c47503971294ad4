"""A heading with a thin rule; one that folds opens and closes what follows it."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.message import Message

from tui.widgets.lines import line, name
from tui.widgets.painted import Painted


class Section(Painted):
    """`── Fits? ─────`"""

    DEFAULT_CSS = """
    Section {
        height: 1;
    }
    """

    def __init__(self, title: str, words: str = "") -> None:
        super().__init__()
        self._title, self._words, self._style = title, words, "$thought"

    def say(self, words: str, style: str = "$thought") -> None:
        """A few words after the title."""
        self._words, self._style = words, style
        self.redraw()

    def head(self) -> Content:
        """The title."""
        return line(("── ", "$rule"), (self._title, "$accent"))

    def lines(self, width: int, height: int) -> list[Content]:
        """Title, words, and the rule to the end."""
        words = line((f"  {name(self._words)}", self._style)) if self._words else line("")
        content = self.head() + words + line(" ")
        if content.cell_length > width:
            return [content.truncate(width, ellipsis=True)]
        return [content + line(("─" * (width - content.cell_length), "$rule"))]


class Fold(Section, can_focus=True):
    """`▸ More  dropout 5 % ─────`; Space, Enter or a click turns it."""

    DEFAULT_CSS = """
    Fold:focus {
        background: $block-cursor-background;
    }
    """

    class Turned(Message):
        """It was opened or closed."""

        def __init__(self, fold: Fold) -> None:
            super().__init__()
            self.fold = fold

    def __init__(self, title: str, words: str = "") -> None:
        super().__init__(title, words)
        self.open = False

    def head(self) -> Content:
        mark = "▾ " if self.open else "▸ "
        return line((mark, "$foreground" if self.has_focus else "$thought"), (self._title, "$accent"))

    def turn(self, to: bool | None = None) -> None:
        """Open or close it; without a word, the other way than it is."""
        wanted = not self.open if to is None else to
        if wanted != self.open:
            self.open = wanted
            self.redraw()
            self.post_message(self.Turned(self))

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        self.turn()
