"""One parameter on one line: its name, its field, and whose value holds."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from tui.text import clean


class ParamRow(Vertical):
    """What is wrong stands in place of whose it is."""

    DEFAULT_CSS = """
    ParamRow {
        height: auto;
    }
    ParamRow > Horizontal {
        height: auto;
    }
    ParamRow .label {
        width: 20;
        color: $thought;
    }
    ParamRow .whose {
        width: 1fr;
        height: auto;
        padding: 0 0 0 2;
        color: $thought;
    }
    ParamRow .whose.-chat {
        color: $accent;
    }
    ParamRow .whose.-wrong {
        color: $warning;
    }
    ParamRow TextField, ParamRow ChoiceField {
        width: 19;
    }
    """

    def __init__(self, label: str, field: Widget) -> None:
        super().__init__()
        self._label = label
        self.field = field
        self.words = ""
        """What stands beside the field."""
        self._whose = Static("", classes="whose", markup=False)

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Static(self._label, classes="label", markup=False)
            yield self.field
            yield self._whose

    def tell(self, words: str | Content, *, chat: bool = False) -> None:
        """Whose value holds; `chat` when it is this chat's own."""
        self._show(words, "-chat" if chat else "")

    def fault(self, words: str) -> None:
        """What is wrong with what was typed."""
        self._show(f"✗ {words}", "-wrong")

    def _show(self, words: str | Content, kind: str) -> None:
        self.words = words if isinstance(words, str) else words.plain
        self._whose.update(words if isinstance(words, Content) else clean(words))
        self._whose.set_class(kind == "-chat", "-chat")
        self._whose.set_class(kind == "-wrong", "-wrong")
