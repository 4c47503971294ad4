"""The line editor on a real terminal: history, several lines, pasted text as it is. By prompt_toolkit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import create_input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.shortcuts import CompleteStyle

from tui.linear.entry import MORE, PROMPT, Entered, carries_on, quoted, unquoted
from tui.linear.paper import Paper
from tui.text import clean


class _Output(Vt100_Output):
    """Asks the terminal nothing: an answer to a question about the cursor could be taken for typed text."""

    @property
    def responds_to_cpr(self) -> bool:
        return False


class _Words(Completer):
    """Completes slash commands at Tab."""

    def __init__(self, complete: Callable[[str], list[str]]) -> None:
        self._complete = complete

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Each whole text that could be meant."""
        typed = document.text
        return [Completion(text, start_position=-len(typed)) for text in self._complete(typed)]


class Editor:
    """Reads messages on a terminal that can move its cursor within the lines being typed."""

    def __init__(self, paper: Paper, complete: Callable[[str], list[str]]) -> None:
        self._paper = paper
        self._history = InMemoryHistory()
        output = _Output.from_pty(paper.aside)
        self._input = create_input()
        self._session = self._make_session(output, complete)
        self._output = output

    def _make_session(self, output: Vt100_Output, complete: Callable[[str], list[str]]) -> PromptSession[str]:
        return PromptSession(
            multiline=True,
            history=self._history,
            completer=_Words(complete),
            complete_while_typing=False,
            complete_style=CompleteStyle.READLINE_LIKE,
            prompt_continuation=lambda width, line, wrapped: "" if wrapped else MORE,
            key_bindings=_bindings(),
            color_depth=ColorDepth.DEPTH_1_BIT,
            include_default_pygments_style=False,
            reserve_space_for_menu=0,
            enable_suspend=True,
            enable_open_in_editor=True,
            input=self._input,
            output=output,
        )

    async def read(self) -> Entered:
        """The next message."""
        self._paper.end()
        try:
            text = await self._session.prompt_async(PROMPT, handle_sigint=False)
        except KeyboardInterrupt:
            return Entered("interrupt", self._session.default_buffer.text)
        except EOFError:
            return Entered("end")
        return Entered("text", unquoted(text))

    async def ask(self, question: str) -> str:
        """One line in answer, kept out of the history."""
        once: PromptSession[str] = PromptSession(
            input=self._input,
            output=self._output,
            color_depth=ColorDepth.DEPTH_1_BIT,
            reserve_space_for_menu=0,
        )
        try:
            return await once.prompt_async(question + " ", handle_sigint=False)
        except (KeyboardInterrupt, EOFError):
            return ""

    async def aside(self, say: Callable[[], None]) -> None:
        """Say it above the line that is being edited."""
        if self._session.app.is_running:
            await asyncio.ensure_future(run_in_terminal(say))
        else:
            say()

    def remember(self, texts: list[str]) -> None:
        """For the arrow keys; a text that is there already is not taken again."""
        known = set(self._history.get_strings())
        for text in texts:
            if text not in known:
                self._history.append_string(text)


def _bindings() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if quoted(buffer.text):
            buffer.insert_text("\n")
        elif carries_on(buffer.document.current_line) and not buffer.document.text_after_cursor:
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("c-j")
    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add(Keys.BracketedPaste)
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text(clean(event.data.replace("\r\n", "\n").replace("\r", "\n")))

    return keys
