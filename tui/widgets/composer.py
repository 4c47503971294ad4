"""The composer: a text field that grows, with slash suggestions and the prompts of before."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Static, TextArea

from tui.actions import Where
from tui.bindings import bindings
from tui.slash import Completion
from tui.text import clean
from tui.widgets.suggestions import Suggestions


class Composer(TextArea):
    """The text field itself."""

    DEFAULT_CSS = """
    Composer {
        height: auto;
        max-height: 8;
        border: none;
        padding: 0;
        background: $background;
        scrollbar-size-vertical: 1;
    }
    Composer:focus {
        border: none;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.COMPOSER)

    class Sent(Message):
        """Enter."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Left(Message):
        """Tab (`forward`) or Escape with nothing to do for them here."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def __init__(
        self,
        suggestions: Suggestions,
        complete: Callable[[str], list[Completion]],
        history: Callable[[], list[str]],
    ) -> None:
        super().__init__(
            soft_wrap=True,
            tab_behavior="focus",
            show_line_numbers=False,
            compact=True,
            highlight_cursor_line=False,
            placeholder="Ask something",
        )
        self.cursor_blink = False
        self._suggestions = suggestions
        self._complete = complete
        self._history = history
        self._recalled: int | None = None
        self._unsent = ""

    @property
    def completing(self) -> bool:
        """Whether suggestions are open."""
        return self._suggestions.current is not None

    def put(self, text: str) -> None:
        """Replace the text and go to its end."""
        self.load_text(clean(text))
        self.move_cursor(self.document.end)

    def on_text_area_changed(self) -> None:
        self._suggestions.offer(self._complete(self.text) if self.text.startswith("/") else [])

    async def on_key(self, event: events.Key) -> None:
        """Enter sends; the base class would take it for a new line before any binding sees it."""
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            self.action_send()

    def on_paste(self, event: events.Paste) -> None:
        """What is pasted is cleaned like anything from outside."""
        event.text = clean(event.text)

    def action_send(self) -> None:
        chosen = self._suggestions.current
        if chosen is not None and chosen.text != self.text.strip():
            self._take(chosen)
            if not chosen.whole:
                return
        text = self.text
        if not text.strip():
            return
        self._suggestions.offer([])
        self._recalled = None
        self.post_message(self.Sent(text))

    def action_newline(self) -> None:
        self.insert("\n")

    def action_complete(self) -> None:
        chosen = self._suggestions.current
        if chosen is None:
            self.post_message(self.Left("tab"))
        else:
            self._take(chosen)

    def action_dismiss(self) -> None:
        if self.completing:
            self._suggestions.offer([])
        else:
            self.post_message(self.Left("escape"))

    def action_recall_older(self) -> None:
        if self.completing:
            self._suggestions.step(-1)
        elif self.cursor_at_first_line:
            self._recall(-1)
        else:
            self.action_cursor_up()

    def action_recall_newer(self) -> None:
        if self.completing:
            self._suggestions.step(1)
        elif self._recalled is not None and self.cursor_at_last_line:
            self._recall(1)
        else:
            self.action_cursor_down()

    def _take(self, chosen: Completion) -> None:
        self.put(chosen.text if chosen.whole else chosen.text + " ")

    def _recall(self, by: int) -> None:
        history = self._history()
        if self._recalled is None:
            self._unsent = self.text
            self._recalled = len(history)
        at = self._recalled + by
        if at < 0:
            return
        if at >= len(history):
            self._recalled = None
            self.put(self._unsent)
        else:
            self._recalled = at
            self.put(history[at])


class ComposerBox(Vertical):
    """The composer under its rule, on which the transcript's badge stands."""

    DEFAULT_CSS = """
    ComposerBox {
        height: auto;
        border-top: solid $rule;
        border-title-align: right;
        border-title-color: $accent;
        border-title-background: $background;
        padding: 0 1 0 2;
        background: $background;
    }
    ComposerBox:focus-within {
        border-top: solid $accent 60%;
    }
    ComposerBox > Horizontal {
        height: auto;
    }
    ComposerBox .prompt {
        width: 2;
        height: 1;
        color: $thought;
    }
    ComposerBox:focus-within .prompt {
        color: $accent;
        text-style: bold;
    }
    """

    def __init__(self, composer: Composer) -> None:
        super().__init__()
        self._composer = composer

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Static("›", classes="prompt", markup=False)
            yield self._composer

    def badge(self, words: str) -> None:
        """Words on the rule, to the right."""
        if words != self.border_title:
            self.border_title = words
