"""Fields of a form: a line of text, a choice among a few, and a row that puts them under a label."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input, Static

from tui.format import shorten
from tui.text import clean
from tui.widgets.lines import line, name
from tui.widgets.painted import Painted


class TextField(Input):
    """One line of text. `auto` stands there while nothing is typed."""

    DEFAULT_CSS = """
    TextField {
        background: $surface;
        padding: 0 1 !important;
        width: 10;
        background-tint: $foreground 0%;
    }
    TextField:focus {
        background: $block-cursor-background;
        background-tint: $foreground 0%;
    }
    TextField.-wide {
        width: 1fr;
        max-width: 60;
    }
    """

    def __init__(self, field: str, value: str, *, auto: str = "", wide: bool = False) -> None:
        super().__init__(clean(value), placeholder=auto, compact=True, select_on_focus=False)
        self.field = field
        self.set_class(wide, "-wide")


class ChoiceField(Painted, can_focus=True):
    """One of a few values, walked by the arrows."""

    DEFAULT_CSS = """
    ChoiceField {
        height: 1;
        width: 24;
        padding: 0 1;
        background: $surface;
    }
    ChoiceField:focus {
        background: $block-cursor-background;
    }
    ChoiceField.-wide {
        width: 1fr;
        max-width: 60;
    }
    """

    class Changed(Message):
        """Another value was chosen."""

        def __init__(self, field: ChoiceField) -> None:
            super().__init__()
            self.field = field

    def __init__(
        self, field: str, choices: Sequence[tuple[str, str]], value: str, *, wide: bool = False
    ) -> None:
        """`choices`: values with their words."""
        super().__init__()
        self.field = field
        self.choices = list(choices)
        self.value = value
        self.set_class(wide, "-wide")

    def lines(self, width: int, height: int) -> list[Content]:
        """`‹ attention + MLP ›`; without a choice, the words alone."""
        words = shorten(name(dict(self.choices).get(self.value, self.value)), max(1, width - 4))
        if len(self.choices) < 2:
            return [line(words)]
        mark = "$foreground" if self.has_focus else "$thought"
        return [line(("‹ ", mark), words, (" ›", mark))]

    def step(self, by: int) -> None:
        """Take the choice that lies so many further."""
        values = [value for value, _ in self.choices]
        at = values.index(self.value) if self.value in values else -by if by > 0 else 0
        self.take(values[(at + by) % len(values)])

    def take(self, value: str) -> None:
        """Take this one."""
        if value != self.value:
            self.value = value
            self.redraw()
            self.post_message(self.Changed(self))

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        self.step(1)


class FieldRow(Vertical):
    """A label, fields with words between them, and below a note or what is wrong."""

    DEFAULT_CSS = """
    FieldRow {
        height: auto;
    }
    FieldRow > Horizontal {
        height: auto;
    }
    FieldRow .label {
        width: 12;
        color: $thought;
    }
    FieldRow .word {
        width: auto;
        color: $thought;
        padding: 0 1;
    }
    FieldRow .note, FieldRow .fault {
        height: auto;
        padding: 0 0 0 13;
        color: $thought;
        display: none;
    }
    FieldRow .fault {
        color: $warning;
    }
    FieldRow .-shown {
        display: block;
    }
    """

    def __init__(self, label: str, *parts: Widget | str) -> None:
        """`parts`: fields, and words that stand between them."""
        super().__init__()
        self._label = label
        self.set_class(any(isinstance(part, str) for part in parts), "-wordy")
        self._parts = [
            Static(part, classes="word", markup=False) if isinstance(part, str) else part for part in parts
        ]
        self._note = Static("", classes="note", markup=False)
        self._fault = Static("", classes="fault", markup=False)

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Static(self._label, classes="label", markup=False)
            yield from self._parts
        yield self._note
        yield self._fault

    @property
    def fields(self) -> list[str]:
        """The names of its fields."""
        return [part.field for part in self._parts if isinstance(part, TextField | ChoiceField)]

    def note(self, words: str) -> None:
        """A line below that explains."""
        _put(self._note, words)

    def fault(self, words: str) -> None:
        """What is wrong, below; empty when all is fine."""
        _put(self._fault, f"✗ {words}" if words else "")


def _put(place: Static, words: str) -> None:
    place.update(clean(words))
    place.set_class(bool(words), "-shown")
