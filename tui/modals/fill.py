"""Asks for the blanks of a prompt, one after another."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static, TextArea

from tui.modals.dialog import Dialog
from tui.prompt_files import Prompt
from tui.text import clean
from tui.widgets.lines import line, name


class Blank(TextArea):
    """A field that grows: Enter answers, Ctrl+J starts a line."""

    DEFAULT_CSS = """
    Blank {
        height: auto;
        min-height: 3;
        max-height: 12;
        margin: 1 0 0 0;
        border: none;
        border-left: outer $accent;
        padding: 0 0 0 1;
        background: $surface;
        scrollbar-size-vertical: 1;
    }
    Blank:focus {
        border: none;
        border-left: outer $accent;
    }
    """

    class Given(Message):
        """Enter."""

    def __init__(self) -> None:
        super().__init__(
            soft_wrap=True, tab_behavior="focus", show_line_numbers=False, highlight_cursor_line=False
        )
        self.cursor_blink = False

    async def on_key(self, event: events.Key) -> None:
        """Enter answers; the base class would take it for a new line before any binding sees it."""
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            self.post_message(self.Given())

    def on_paste(self, event: events.Paste) -> None:
        """What is pasted is cleaned like anything from outside."""
        event.text = clean(event.text)


class Fill(Dialog[str]):
    """Dismisses with the filled text. Escape goes back to the question before, at the first it leaves."""

    DEFAULT_CSS = """
    Fill > .panel {
        width: 84;
    }
    """

    def __init__(self, prompt: Prompt) -> None:
        super().__init__()
        self._prompt = prompt
        self._at = 0
        self._answers = {variable.name: variable.default or "" for variable in prompt.variables}
        self._answer = Blank()
        self._question = Static("", classes="words", markup=False)
        self._note = Static("", classes="grave", markup=False)

    def compose(self) -> ComposeResult:
        with Vertical(classes="panel") as panel:
            panel.border_subtitle = "Enter next · Ctrl+J new line · Esc back"
            yield self._question
            yield self._answer
            yield self._note

    def on_mount(self) -> None:
        self._ask()
        self._answer.focus()

    def on_blank_given(self) -> None:
        variable = self._prompt.variables[self._at]
        text = self._answer.text.strip("\n")
        if not text.strip() and variable.default is None:
            self._note.update("This one needs an answer.")
            return
        self._answers[variable.name] = text if text.strip() else variable.default or ""
        if self._at + 1 == len(self._prompt.variables):
            self.dismiss(self._prompt.fill(self._answers))
            return
        self._at += 1
        self._ask()

    def action_close(self) -> None:
        if self._at == 0:
            self.dismiss(None)
            return
        self._answers[self._prompt.variables[self._at].name] = self._answer.text
        self._at -= 1
        self._ask()

    def action_answer_newline(self) -> None:
        self._answer.insert("\n")

    def _ask(self) -> None:
        variable = self._prompt.variables[self._at]
        count = len(self._prompt.variables)
        place = f" · {self._at + 1} of {count}" if count > 1 else ""
        self.query_one(Vertical).border_title = f"{name(self._prompt.title)}{place}"
        self._question.update(line((name(variable.question), "bold")))
        self._note.update("")
        self._answer.load_text(clean(self._answers[variable.name]))
        self._answer.move_cursor(self._answer.document.end)
