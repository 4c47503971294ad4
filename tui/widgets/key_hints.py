"""The bottom line: which keys do what right now; for a moment, what just happened."""

from __future__ import annotations

import time

from textual.content import Content

from tui.actions import Moment, hints, key_word
from tui.actions.keyed import keys_of
from tui.elsewhere import unhinted
from tui.format import rate
from tui.state import State
from tui.widgets.header import run_words, thinking_words
from tui.widgets.lines import Piece, line, name
from tui.widgets.painted import Painted


class KeyHints(Painted):
    """One line, cut at whole hints where it is narrow."""

    DEFAULT_CSS = """
    KeyHints {
        height: 1;
        padding: 0 1;
        background: $surface;
    }
    """

    def __init__(self, state: State) -> None:
        super().__init__()
        self._state = state
        self._moment = Moment.COMPOSER
        self._message = ""
        self._grave = False
        self._until = 0.0
        self.tiny = False
        """Whether the line has to stand for the header too."""

    def show_moment(self, moment: Moment) -> None:
        """Tell what is possible now."""
        if moment is not self._moment:
            self._moment = moment
            self.redraw()

    def say(self, message: str, *, grave: bool = False, for_seconds: float = 5.0) -> None:
        """Show a sentence in place of the hints for a while."""
        self._message, self._grave = message, grave
        self._until = time.monotonic() + for_seconds
        self.redraw()
        self.set_timer(for_seconds + 0.05, self.redraw)

    def unsay(self, message: str) -> None:
        """Take a sentence back that is not true any more, if it is still there."""
        if self._message == message:
            self._until = 0.0
            self.redraw()

    @property
    def message(self) -> str:
        """The sentence that is shown now; empty when none is."""
        return self._message if time.monotonic() < self._until else ""

    def lines(self, width: int, height: int) -> list[Content]:
        """The message, else the state where there is no header, else the hints."""
        if self.message:
            style = "$warning" if self._grave else "$foreground"
            return [line((name(self.message), style)).truncate(width, ellipsis=True)]
        return [self._state_line().truncate(width, ellipsis=True) if self.tiny else self._hints(width)]

    def _hints(self, width: int) -> Content:
        without = unhinted(self._state.model())
        shown = [action for action in hints(self._moment) if action.id not in without]
        last = _hint(keys_of(shown[-1])[0], shown[-1].hint)
        room = width - last.cell_length
        content = line("")
        for action in shown[:-1]:
            hint = _hint(keys_of(action)[0], action.hint) + line("   ")
            if content.cell_length + hint.cell_length > room:
                break
            content += hint
        return content + last

    def _state_line(self) -> Content:
        model = self._state.model()
        pieces: list[Piece] = [(name(model.name) if model else "starting …", "bold")]
        words = thinking_words(self._state)
        if words:
            pieces.append((f" · {words}", "$thought"))
        if self._state.engine.speeds:
            pieces.append((f" · {rate(self._state.engine.speeds[-1])}", "$thought"))
        running = run_words(self._state)
        if running:
            pieces.append((f" · {running}", "$accent"))
        return line(*pieces, (" · F1", "$thought"))


def _hint(key: str, word: str) -> Content:
    return line((key_word(key), "$foreground"), " ", (word, "$thought"))
