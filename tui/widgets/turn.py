"""One message of the transcript: who and when, the thought, the text, and how it stands."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from tui import environment
from tui.format import clock, milliseconds, plural, rate, seconds, shorten
from tui.state import EngineState, Turn
from tui.text import clean
from tui.widgets.lines import Piece, line, name, spread
from tui.widgets.painted import Painted
from tui.widgets.thought import Thought

if TYPE_CHECKING:
    from tui.widgets.answer import Answer


class TurnHead(Painted):
    """`You … 14:02`, or the model and adapter with the version and the time."""

    DEFAULT_CSS = """
    TurnHead {
        height: 1;
    }
    """

    def __init__(self, turn: Turn, engine: EngineState) -> None:
        super().__init__()
        self._engine = engine
        self.turn = turn

    def lines(self, width: int, height: int) -> list[Content]:
        """One line."""
        turn = self.turn
        if turn.role == "user":
            left: list[Piece] = [("You", "bold $user")]
        elif turn.role == "system":
            left = [("System", "bold $thought")]
        else:
            model = self._engine.model(turn.model)
            left = [(name(model.name if model else turn.model) or "reply", "bold")]
            if turn.adapter:
                left.append((f" + {name(self._engine.adapter_name(turn.adapter))}", "bold $accent"))
        right = f"‹{turn.version}/{turn.versions}›  " if turn.versions > 1 else ""
        return [spread(line(*left), line((right + clock(turn.created), "$thought")), width)]


class TurnView(Widget):
    """A message. The transcript calls `sync` with the state's newest word on it."""

    DEFAULT_CSS = """
    TurnView {
        layout: vertical;
        height: auto;
        padding: 0 2 0 1;
        margin: 0 0 1 0;
        border-left: blank;
    }
    TurnView.-answered {
        margin: 0;
    }
    TurnView.-answered .foot {
        margin: 0 0 1 0;
    }
    TurnView.-selected {
        border-left: outer $accent;
    }
    TurnView .words {
        height: auto;
    }
    TurnView .foot {
        height: auto;
        color: $thought;
        display: none;
    }
    TurnView .foot.-shown {
        display: block;
    }
    TurnView .foot.-grave {
        color: $warning;
    }
    """

    def __init__(self, turn: Turn, engine: EngineState, choice: bool | None) -> None:
        super().__init__()
        self.turn_id = turn.id
        self._turn = turn
        self._engine = engine
        self._choice = choice
        self._head = TurnHead(turn, engine)
        self._words = (
            Static(clean(turn.text), classes="words", markup=False) if turn.role != "assistant" else None
        )
        self._thought: Thought | None = None
        self._answer: Answer | None = None
        self._foot = Static("", classes="foot", markup=False)
        self._foot_words = ""
        self._settled = False
        self._next_write = 0.0

    def compose(self) -> ComposeResult:
        yield self._head
        if self._words is not None:
            yield self._words
        yield self._foot

    @property
    def thought(self) -> Thought | None:
        """Its thinking block, once there is something in it."""
        return self._thought

    @property
    def unfinished(self) -> bool:
        """Whether its clock runs, or text waits because pieces come faster than they are worth drawing."""
        return not self._settled and self._turn.role == "assistant"

    async def sync(self, turn: Turn, choice: bool | None) -> None:
        """Draw what is new."""
        self._turn, self._choice = turn, choice
        self._head.turn = turn
        self._head.redraw()
        if turn.role != "assistant":
            return
        await self._sync_thought()
        await self._sync_answer()
        self._sync_foot()
        self._settled = not turn.live

    def select(self, selected: bool) -> None:
        """Mark it, and tell its numbers below."""
        self.set_class(selected, "-selected")
        self._sync_foot()

    async def _sync_thought(self) -> None:
        turn = self._turn
        if self._thought is not None:
            self._thought.sync(turn, self._choice)
        elif turn.thinking.strip() or turn.state == "thinking":
            self._thought = Thought(turn, self._choice)
            await self.mount(self._thought, after=self._head)

    async def _sync_answer(self) -> None:
        turn = self._turn
        if not turn.text:
            return
        if self._answer is None:
            from tui.widgets.answer import Answer  # not before there is something to parse

            self._answer = Answer()
            self.add_class("-answered")
            await self.mount(self._answer, before=self._foot)
        now = time.monotonic()
        if turn.live and now < self._next_write:
            return
        await self._answer.show(turn.text, final=not turn.live)
        cost = time.monotonic() - now
        self._next_write = now + max(environment.STREAM, 4 * cost)

    def _sync_foot(self) -> None:
        words, grave = foot_words(self._turn, self._engine, numbers=self.has_class("-selected"))
        if words == self._foot_words:
            return
        self._foot_words = words
        self._foot.update(words)
        self._foot.set_class(bool(words), "-shown")
        self._foot.set_class(grave, "-grave")


def foot_words(turn: Turn, engine: EngineState, *, numbers: bool) -> tuple[str, bool]:
    """What stands below a reply, and whether it is a warning. `numbers` adds its statistics."""
    if turn.role != "assistant":
        return "", False
    if turn.live:
        return _live_words(turn, engine), False
    parts = [clean(_end_words(turn))]
    if numbers and turn.stats is not None:
        parts.append(_numbers(turn))
    text = "\n".join(part for part in parts if part)
    return text, turn.finish in ("failed", "interrupted", "context")


def _live_words(turn: Turn, engine: EngineState) -> str:
    waited = seconds(time.monotonic() - turn.since) if turn.since else ""
    model = engine.model(turn.model)
    title = shorten(name(model.name if model else turn.model), 40)
    if turn.state == "queued":
        if model is not None and model.state == "loading":
            return _loading(title, model.progress, engine.phases.get(model.id, ""))
        return "queued"
    if turn.state == "loading":
        if model is None:
            return f"loading {title}"
        return _loading(title, model.progress, engine.phases.get(model.id, ""))
    if turn.state == "prefill":
        return f"reading the prompt {waited}".rstrip()
    return ""


def _loading(title: str, progress: float, phase: str) -> str:
    words = f"loading {title} {progress * 100:.0f} %"
    return f"{words} · {clean(phase)}" if phase else words


def _end_words(turn: Turn) -> str:
    if turn.error is not None:
        return turn.error.sentence()
    return {
        "cancelled": "stopped",
        "length": "cut off at max_tokens",
        "context": "The context is full. Ctrl+N starts a new chat.",
        "interrupted": "interrupted – r asks again",
        "failed": "The reply failed – r asks again",
    }.get(turn.finish or "", "")


def _numbers(turn: Turn) -> str:
    stats = turn.stats
    if stats is None or not stats.tokens:
        return ""
    parts = [
        plural(stats.tokens, "token"),
        rate(stats.tokens_per_s),
        f"first after {milliseconds(stats.ttft_ms)}",
    ]
    if stats.prompt_tokens:
        reused = f" ({stats.cached_tokens:,} reused)" if stats.cached_tokens else ""
        parts.append(f"prompt {stats.prompt_tokens:,}{reused}")
    if turn.settings is not None and turn.settings.sampling.seed is not None:
        parts.append(f"seed {turn.settings.sampling.seed}")
    return " · ".join(parts)
