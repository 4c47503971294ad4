"""One column of a comparison: its name, its answer with the words that differ, its numbers."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from tui.compare import Variant, differing, parting
from tui.format import plural, rate, roughly, seconds
from tui.state import Turn
from tui.text import clean
from tui.widgets.lines import line, name, stack

_STATES = {
    "queued": "waits for the column before it",
    "loading": "the model is loading",
    "prefill": "reads the question",
    "thinking": "thinks",
    "answering": "answers",
}


class CompareColumn(VerticalScroll):
    """Told by the comparison what to show."""

    DEFAULT_CSS = """
    CompareColumn {
        width: 1fr;
        padding: 0 1 0 2;
        border-left: solid $rule;
        scrollbar-size-vertical: 1;
        background: $background;
    }
    CompareColumn.-won {
        border-left: outer $accent;
    }
    CompareColumn > Static {
        height: auto;
    }
    """

    def __init__(self, number: int, variant: Variant) -> None:
        super().__init__()
        self.number, self.variant = number, variant
        self.message = ""
        """Id of its reply, once it is queued."""
        self.hidden = False
        self.won = False
        self.trouble = ""
        self._head = Static("", markup=False)
        self._body = Static("", markup=False)
        self._foot = Static("", markup=False)

    def compose(self) -> ComposeResult:
        yield self._head
        yield self._body
        yield self._foot

    def show(self, turn: Turn | None, first: Turn | None) -> None:
        """Its reply as far as it has come; words are marked against `first`, the first column's."""
        self.set_class(self.won, "-won")
        label = "?" if self.hidden else name(self.variant.label)
        self._head.update(line((f"{self.number}  ", "$accent"), (label, "bold"), "\n"))
        self._body.update(self._answer(turn, first))
        self._foot.update(stack([line(""), *self._numbers(turn, first)]))

    def _answer(self, turn: Turn | None, first: Turn | None) -> Content:
        if self.trouble:
            return Content(clean(self.trouble)).stylize("$warning")
        if turn is None:
            return Content("…").stylize("$thought")
        if turn.live and not turn.text:
            return Content(_STATES.get(turn.state, turn.state)).stylize("$thought")
        text = clean(turn.text).strip("\n") or "(no answer)"
        shown = Content(text)
        if first is None or first is turn:
            return shown
        for start, end in differing(clean(first.text).strip("\n"), text):
            shown = shown.stylize("underline $accent", start, end)
        return shown

    def _numbers(self, turn: Turn | None, first: Turn | None) -> list[Content]:
        if turn is None or turn.live or turn.stats is None:
            return []
        stats = turn.stats
        about = roughly(stats.estimated)
        words = [f"{about}{plural(stats.tokens, 'token')} · {about}{rate(stats.tokens_per_s)}"]
        if stats.thinking_tokens and not self.hidden:
            count = about + plural(stats.thinking_tokens, "token")
            words.append(f"thought {seconds(stats.thinking_s)} · {count}")
        if stats.note and not self.hidden:
            words.append(clean(stats.note))
        if turn.finish not in (None, "stop"):
            words.append(f"ended by {turn.finish}")
        if first is not None and first is not turn:
            at = parting(clean(first.text), clean(turn.text))
            words.append("the same words" if at is None else f"differs from word {at:,} on")
        return [line((each, "$thought")) for each in words]
