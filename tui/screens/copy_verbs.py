"""What one can take out of the transcript: a message, a code block, the chat; to the clipboard or a file."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from engine.api import EngineError, ErrorInfo
from tui import clipboard
from tui.format import plural
from tui.screens.base import Desk
from tui.state import Turn
from tui.text import clean
from tui.widgets.lines import name
from tui.widgets.transcript import Transcript

if TYPE_CHECKING:
    from tui.markdown import Block

WAIT = 1.5
"""Seconds in which a digit still says which code block was meant."""
CHOOSE = 10.0
"""Seconds in which a digit answers the question which block to save."""


class Asked(msgspec.Struct):
    """A key that a digit may follow."""

    verb: str
    turn: Turn
    until: float


class CopyVerbs(Desk):
    """Verbs on text that leaves the screen."""

    _asked: Asked | None = None

    def action_copy_message(self, argument: str = "") -> None:
        turn = self.transcript.selected or self.newest("assistant")
        if turn is None:
            self.say("There is nothing to copy yet.")
            return
        word = argument.strip().lower()
        if word.isdecimal():
            self._copy_block(turn, int(word))
        elif word in ("", "raw", "rendered"):
            self._copy_turn(turn, rendered=word == "rendered")
        else:
            self.say("/copy takes raw, rendered, or the number of a code block.", grave=True)

    def action_copy_chat(self, argument: str = "") -> None:
        path = self.state.engine.path(self.state.chat)
        if not path:
            self.say("There is nothing to copy yet.")
            return
        page = self.state.engine.pages[self.state.chat]
        what = "the part of the chat that was read" if page.more else "the chat"
        self.copy(
            "\n\n".join(f"## {self._speaker(turn)}\n\n{turn.text.strip()}" for turn in path) + "\n", what
        )

    def action_save_code(self, argument: str = "") -> None:
        turn = self.transcript.selected or self.newest("assistant")
        count = len(_blocks(turn))
        number, _, path = argument.strip().partition(" ")
        if turn is None or not count:
            self.say("There is no code block here.")
        elif number and not number.isdecimal():
            self.say("/save_code takes the number of a code block, and a path.", grave=True)
        elif number:
            self._save_block(turn, int(number), path.strip())
        elif count == 1:
            self._save_block(turn, 1)
        else:
            self._asked = Asked("save", turn, time.monotonic() + CHOOSE)
            self.say(f"Which code block? Press 1 to {min(count, 9)}.", for_seconds=CHOOSE)

    def on_transcript_digit(self, event: Transcript.Digit) -> None:
        """A digit after y or s."""
        event.stop()
        asked, self._asked = self._asked, None
        if asked is None or time.monotonic() > asked.until:
            self.say("y and then a digit copies that code block, s and then a digit saves it.")
        elif asked.verb == "copy":
            self._copy_block(asked.turn, event.number)
        else:
            self._save_block(asked.turn, event.number)

    # --- to the clipboard -------------------------------------------------------------------

    def copy(self, text: str, what: str = "", more: str = "") -> None:
        """To the best clipboard there is, and say which it was."""
        shown = clean(text)
        command = clipboard.tool()
        count = plural(len(shown), "character")
        words = what if more else f"{what} ({count})" if what else count  # what a digit does must fit too
        if command:
            self.run_worker(self._by_tool(command, shown, words, more))
        else:
            self._by_terminal(shown, words, more)

    async def _by_tool(self, command: tuple[str, ...], text: str, words: str, more: str) -> None:
        if await clipboard.by_tool(command, text):
            self._copied(f"Copied {words} with {command[0]}.", more)
        else:
            self._by_terminal(text, words, more)

    def _by_terminal(self, text: str, words: str, more: str) -> None:
        """A terminal never confirms, so neither do we; what is too long for it goes into a file."""
        if clipboard.takes_copies() and clipboard.fits_terminal(text):
            self.app.copy_to_clipboard(text)
            self._copied(f"Sent {words} to the terminal's clipboard.", more)
            return
        try:
            path = clipboard.to_file(text)
        except OSError as error:
            self.say(f"Not for the clipboard, and no file: {error.strerror or error}", grave=True)
        except EngineError as error:
            self.fail(error.info)
        else:
            why = "Too long for the terminal's" if clipboard.takes_copies() else "This terminal has no"
            self._copied(f"{why} clipboard: wrote {words} to {name(str(path))}.", more)

    def _copied(self, words: str, more: str) -> None:
        self.say(f"{words} {more}".rstrip(), for_seconds=4)

    def _copy_turn(self, turn: Turn, *, rendered: bool) -> None:
        text = turn.text or turn.thinking
        if rendered:
            from tui.markdown import plain

            text = plain(clean(text))
        blocks = len(_blocks(turn))
        more = ""
        if blocks:
            self._asked = Asked("copy", turn, time.monotonic() + WAIT)
            more = f"{'1' if blocks == 1 else f'1 to {min(blocks, 9)}'}: that code block."
        what = "the text as it reads" if rendered else "the message" if turn.text else "the thought"
        self.copy(text, what, more)

    def _copy_block(self, turn: Turn, number: int) -> None:
        block = self._block(turn, number)
        if block is not None:
            self.copy(block.code, f"code block {number}")

    # --- to a file --------------------------------------------------------------------------

    def _save_block(self, turn: Turn, number: int, path: str = "") -> None:
        block = self._block(turn, number)
        if block is None:
            return
        if path:
            self._write(Path(path).expanduser(), block.code)
            return
        from tui.markdown import suffix
        from tui.modals.save_code import SaveCode

        def named(path: str | None) -> None:
            if path:
                self._write(Path(path).expanduser(), block.code)

        title = f"Save code block {number}"
        self.app.push_screen(SaveCode(title, f"code-{number}{suffix(block.language)}"), named)

    def _write(self, path: Path, code: str, *, over: bool = False) -> None:
        """A new file for its owner alone; what is there already is replaced only after a question."""
        flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if over else os.O_EXCL)
        data = (clean(code).rstrip("\n") + "\n").encode("utf-8", "replace")
        try:
            with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
                file.write(data)
        except FileExistsError:
            self._ask_over(path, code)
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
            where = f"{name(str(path))}: {reason}"
            self.fail(ErrorInfo("unsaved", "The code block was not saved", where, "Choose another place"))
        else:
            self.say(f"Saved {plural(len(data), 'byte')} to {name(str(path))}.")

    def _ask_over(self, path: Path, code: str) -> None:
        from tui.modals.confirm import Confirm

        def answered(yes: bool | None) -> None:
            if yes:
                self._write(path, code, over=True)

        question = f"{name(str(path))} is there already. Replace it?"
        self.app.push_screen(Confirm(question, "What is in it now is lost.", "replace"), answered)

    # --- what is meant ----------------------------------------------------------------------

    def _block(self, turn: Turn, number: int) -> Block | None:
        blocks = _blocks(turn)
        if 1 <= number <= len(blocks):
            return blocks[number - 1]
        there = f"{plural(len(blocks), 'code block')}" if blocks else "no code block"
        self.say(f"There is no code block {number}: this message has {there}.", grave=True)
        return None

    def _speaker(self, turn: Turn) -> str:
        if turn.role != "assistant":
            return "You" if turn.role == "user" else turn.role.title()
        return self.writer(turn)


def _blocks(turn: Turn | None) -> list[Block]:
    if turn is None or turn.role != "assistant":
        return []
    from tui.markdown import code_blocks

    return code_blocks(turn.text)
