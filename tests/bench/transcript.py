"""`python -m tests.bench.transcript`: what a long chat costs the screen, beside an empty one in the same run.

Prints the time to open 200 turns with about 200,000 tokens, and the CPU time of appending a line, scrolling
a page and echoing a key at 10,000 lines and in an empty chat, taken in turns, with the ratios.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from textual import events as events_of_textual

from engine.api import events
from tests.support.fake_engine import FakeEngine
from tests.tui.desk import Desk, open_desk
from tui.widgets.answer import Answer

LINES = 10_000
TURNS, TOKENS = 200, 200_000
ROUNDS = 25
SETTLE = 0.12
"""Seconds after an act in which what it caused is painted."""
LIMIT = 1.2
"""At 10,000 lines against an empty chat (docs/performance.md)."""
OPEN_LIMIT = 1.0
"""Seconds until a chat of 200 turns and 200,000 tokens can be read."""

PARAGRAPH = "The rate is at its peak **exactly** there, as `warm_up` says; so the loss jumps.\n"
CODE = "```python\nscheduler = cosine(optimizer, warm_up=200)\nscheduler.step()\n```\n"


def main() -> int:
    """Print the table; returns 0 whatever the numbers are."""
    with tempfile.TemporaryDirectory(prefix="qw-") as folder:
        for name in ("STATE", "DATA", "CONFIG", "CACHE"):
            os.environ[f"XDG_{name}_HOME"] = str(Path(folder) / name.lower())
        os.environ["HOME"] = folder
        asyncio.run(_measure())
    return 0


async def _measure() -> None:
    async with open_desk(_engine(0)) as empty, open_desk(_engine(LINES)) as full:
        for desk in (empty, full):
            await _begin(desk)
        rows = {"append a paragraph": await _both(_append, empty, full)}
        for desk in (empty, full):
            desk.engine.finish((PARAGRAPH + "\n") * 40, chat="long")
            await _until(lambda desk=desk: not desk.bench.transcript.busy)
            desk.bench.composer.focus()
        rows["scroll a page"] = await _both(_scroll, empty, full)
        rows["echo a key"] = await _both(_echo, empty, full)
    opened = await _opening()
    print(f"open {TURNS} turns, {TOKENS:,} tokens: {opened:.2f} s (at most {OPEN_LIMIT:.1f} s)")
    print(f"{'CPU time':<20}{'empty':>10}{f'{LINES:,} lines':>16}{'ratio':>8}   at most {LIMIT}")
    for name, (small, large) in rows.items():
        print(f"{name:<20}{small * 1000:>7.2f} ms{large * 1000:>13.2f} ms{large / small:>8.2f}")


async def _both(act: Callable[[Desk], Awaitable[float]], empty: Desk, full: Desk) -> tuple[float, float]:
    """Median CPU seconds of one act in each, taken in turns; the first ones warm up."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(ROUNDS + 3):
        for side, desk in enumerate((empty, full)):
            spent = await act(desk)
            if number >= 3:
                times[side].append(spent)
    return statistics.median(times[0]), statistics.median(times[1])


def _engine(lines: int) -> FakeEngine:
    engine = FakeEngine()
    per_reply = 40
    answer = (PARAGRAPH + "\n") * ((per_reply - 8) // 2) + CODE
    pairs = [(f"question {n}", answer) for n in range(lines // per_reply)]
    engine.add_chat("long", "a chat", *pairs)
    return engine


async def _begin(desk: Desk) -> None:
    """A reply that grows at the end of the chat."""
    await _until(lambda: desk.bench.state.chat == "long")
    desk.bench.composer.put("go on")
    await desk.press("enter")
    await _until(lambda: desk.bench.state.live() is not None)
    desk.engine.answer(PARAGRAPH, chat="long")
    await desk.until("loss jumps")


async def _append(desk: Desk) -> float:
    """A paragraph more at the end of the reply that grows."""
    answer = list(desk.bench.transcript.query(Answer))[-1]
    reply, text = desk.engine.reply("long"), answer.source
    desk.engine.emit(
        events.TextDelta(
            chat="long", message=reply.id, part="answer", offset=len(text), text="\n" + PARAGRAPH
        )
    )
    return await _spent(lambda: len(answer.source) > len(text))


async def _scroll(desk: Desk) -> float:
    """A page up, and down again."""
    transcript = desk.bench.transcript
    transcript.scroll_page_up(animate=False)
    spent = await _spent(lambda: not transcript.following)
    transcript.scroll_page_down(animate=False)
    return spent + await _spent(lambda: transcript.following)


async def _echo(desk: Desk) -> float:
    """A letter in the composer."""
    before = desk.bench.composer.text
    desk.app.post_message(events_of_textual.Key("a", "a"))
    spent = await _spent(lambda: len(desk.bench.composer.text) > len(before))
    if len(before) > 40:
        desk.bench.composer.put("")
    return spent


async def _spent(done: Callable[[], bool]) -> float:
    """CPU seconds from here until it is done and painted. The pilot's own waiting would count widgets."""
    started = time.process_time()
    await _until(done)
    await asyncio.sleep(SETTLE)
    return time.process_time() - started


async def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def _opening() -> float:
    """Seconds from choosing the chat to its newest lines on the screen, median of three fresh screens."""
    answer = (PARAGRAPH + "\n") * (TOKENS * 4 // (TURNS // 2) // len(PARAGRAPH)) + CODE
    times = []
    for _ in range(3):
        engine = FakeEngine()
        engine.add_chat("big", "big", *((f"question {n}", answer) for n in range(TURNS // 2)))
        engine.add_chat("small", "small", ("hi", "a small reply"))
        async with open_desk(engine) as desk:
            await desk.until("a small reply")
            started = time.monotonic()
            desk.bench.open_chat("big")
            await _until(lambda desk=desk: "scheduler.step()" in desk.text())
            times.append(time.monotonic() - started)
    return statistics.median(times)


if __name__ == "__main__":
    sys.exit(main())
