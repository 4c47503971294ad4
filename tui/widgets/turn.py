"""One message of the transcript: who and when, the thought, the text, and how it stands."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from tui import environment
from tui.format import clock, milliseconds, plural, rate, roughly, seconds, shorten
from tui.reply_facts import standing
from tui.state import EngineState, Turn
from tui.text import clean
from tui.widgets.lines import Piece, line, name, spread
from tui.widgets.painted import Painted
from tui.widgets.thought import Fold, Thought

if TYPE_CHECKING:
    from tui.widgets.answer import Answer

IMPORTED = 100
"""Characters shown of what came with an imported reply: its tool calls, say."""
NOTED = 300
"""Characters shown of why a reply is not what was asked for."""
BUSY = 0.1
"""Seconds between two pieces of a reply where writing it takes every core."""
BUSY_SHARE = 0.75
"""Of the cores: at this share the engine has none to spare."""


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
            if turn.files:
                left.append((f"  with {', '.join(name(file.name) for file in turn.files)}", "$thought"))
        elif turn.role in ("system", "tool"):
            left = [(turn.role.title(), "bold $thought")]
        else:
            model = self._engine.model(turn.model)
            left = [(name(model.name if model else turn.model) or "reply", "bold")]
            if turn.adapter:
                label = self._engine.adapter_label(turn.adapter, turn.settings)
                left.append((f" + {name(label)}", "bold $accent"))
        marked = standing(turn.mark, turn.origin)
        style = "$warning" if turn.mark == "bad" else "$accent"
        versions = f"‹{turn.version}/{turn.versions}›  " if turn.versions > 1 else ""
        right = line((f"{marked}  " if marked else "", style), (versions + clock(turn.created), "$thought"))
        return [spread(line(*left), right, width)]


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
    TurnView .words, TurnView .raw {
        height: auto;
    }
    TurnView .raw {
        display: none;
        margin: 0 0 1 0;
    }
    TurnView.-raw .raw {
        display: block;
    }
    TurnView.-raw Answer {
        display: none;
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

    def __init__(self, turn: Turn, engine: EngineState, choice: Fold | None) -> None:
        super().__init__()
        self.turn_id = turn.id
        self._turn = turn
        self._engine = engine
        self._choice = choice
        self._head = TurnHead(turn, engine)
        self._words = (
            Static(clean(turn.text), classes="words", markup=False)
            if turn.role in ("user", "system")
            else None
        )
        self._thought: Thought | None = None
        self._answer: Answer | None = None
        self._raw: Static | None = None
        self._raw_text = ""
        self._foot = Static("", classes="foot", markup=False)
        self._foot_words = ""
        self._settled = False
        self._next_write = 0.0

    def compose(self) -> ComposeResult:
        yield self._head
        if self._words is not None:
            yield self._words
        if self._turn.images:
            from tui.widgets.picture import Picture

            yield from (Picture(image) for image in self._turn.images)
        yield self._foot

    @property
    def thought(self) -> Thought | None:
        """Its thinking block, once there is something in it."""
        return self._thought

    @property
    def answer(self) -> Answer | None:
        """Its Markdown, once there is an answer."""
        return self._answer

    @property
    def unfinished(self) -> bool:
        """Whether its clock runs, or text waits because pieces come faster than they are worth drawing."""
        return not self._settled and self._turn.role == "assistant"

    async def sync(self, turn: Turn, choice: Fold | None) -> None:
        """Draw what is new; text that grows waits until its next piece is due."""
        told = choice != self._choice
        self._turn, self._choice = turn, choice
        self._head.turn = turn
        self._head.redraw()
        if turn.role in ("user", "system"):
            return
        if turn.live and not told and time.monotonic() < self._next_write and self._shows_text():
            self._tick()
            return
        await self._sync_thought()
        await self._sync_answer()
        await self._sync_raw()
        self._sync_foot()
        self._settled = not turn.live

    async def show_raw(self, raw: bool) -> None:
        """The text as it is stored, or as Markdown."""
        self.set_class(raw, "-raw")
        await self._sync_raw()

    def select(self, selected: bool) -> None:
        """Mark it, and tell its numbers below."""
        self.set_class(selected, "-selected")
        self._sync_foot()

    def _shows_text(self) -> bool:
        """Whether the part that grows is on the screen already, so that its next piece can wait."""
        part = self._thought if self._turn.state == "thinking" else self._answer
        return part is not None

    def _tick(self) -> None:
        """Only the clock of a thought goes on."""
        if self._thought is not None and self._turn.state == "thinking":
            self._thought.tick()

    async def _sync_thought(self) -> None:
        turn = self._turn
        if self._thought is not None:
            self._thought.sync(turn, self._choice)
            if turn.state == "thinking":
                self._next_write = time.monotonic() + flush_gap(self._engine)
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
        started, spent = time.monotonic(), time.thread_time()
        await self._answer.show(turn.text, final=not turn.live)
        cost = time.monotonic() - started
        self._next_write = started + cost + max(flush_gap(self._engine), 4 * cost)
        if environment.REMOTE and turn.live:
            self.call_after_refresh(self._painted, spent)

    def _painted(self, spent: float) -> None:
        """A piece is out. Over a network, laying out the next one leaves most of the time to keys."""
        self._next_write = max(self._next_write, time.monotonic() + 3 * (time.thread_time() - spent))

    async def _sync_raw(self) -> None:
        if not self.has_class("-raw") or self._answer is None:
            return
        if self._raw is None:
            self._raw = Static("", classes="raw", markup=False)
            await self.mount(self._raw, before=self._foot)
        text = clean(self._turn.text)
        if text != self._raw_text:
            self._raw_text = text
            self._raw.update(text)

    def _sync_foot(self) -> None:
        words, grave = foot_words(self._turn, self._engine, numbers=self.has_class("-selected"))
        if words == self._foot_words:
            return
        self._foot_words = words
        self._foot.update(words)
        self._foot.set_class(bool(words), "-shown")
        self._foot.set_class(grave, "-grave")


def flush_gap(engine: EngineState) -> float:
    """Seconds between two pieces of a growing reply at least; more where its writing takes every core."""
    sample = engine.monitor
    busy = sample is not None and sample.engine_cpu >= BUSY_SHARE * max(1, sample.cores)
    return max(environment.STREAM, BUSY if busy else 0.0)


def foot_words(turn: Turn, engine: EngineState, *, numbers: bool) -> tuple[str, bool]:
    """What stands below a reply, and whether it is a warning. `numbers` adds its statistics."""
    if turn.role != "assistant":
        return "", False
    if turn.live:
        return _live_words(turn, engine), False
    parts = [clean(_end_words(turn))]
    if turn.extra:
        parts.append(f"as imported: {shorten(clean(turn.extra), IMPORTED)}")
    if turn.stats is not None and turn.stats.note:
        parts.append(shorten(clean(turn.stats.note), NOTED))
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
        others = any(each.live and each.id != turn.id for each in engine.turns.values())
        return "queued · ↑ in the empty composer takes it back" if others else "queued"
    if turn.state == "loading":
        if model is None:
            return f"loading {title}"
        return _loading(title, model.progress, engine.phases.get(model.id, ""))
    if turn.state == "summarising":
        return f"summing up earlier messages {waited} · Esc stops"
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
    about = roughly(stats.estimated)
    parts = [
        about + plural(stats.tokens, "token"),
        about + rate(stats.tokens_per_s),
        f"first after {milliseconds(stats.ttft_ms)}",
    ]
    if stats.prompt_tokens:
        reused = f" ({stats.cached_tokens:,} reused)" if stats.cached_tokens else ""
        parts.append(f"prompt {about}{stats.prompt_tokens:,}{reused}")
    if turn.settings is not None and turn.settings.sampling.seed is not None:
        parts.append(f"seed {turn.settings.sampling.seed}")
    return " · ".join(parts)
