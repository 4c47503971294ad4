"""`python -m tests.bench.reattach [--json]`: from `qwill` to what was left: the chat, the reply, the curve.

The screen died and the engine went on: with nothing to do, with a run, with a reply that grows.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec.structs import replace

from engine.api import Target, commands, connect, events, stop_engine
from tests.bench.wire import ASKED, CHAT, MODEL, RATE, REPLY, TEXT, isolate
from tests.e2e.test_first_adapter import dots
from tests.support.long_run import training
from tests.support.pty_app import PtyApp
from tests.support.scripted import Script, engine_with

TIMES = 10
WATCHED = 2.5
"""Seconds that each start is watched."""
QUESTION = "What is 482 + 359?"
Marks = Mapping[str, Callable[[list[str]], object]]
"""What to see, in the order in which it comes, and whether it is on the screen."""
Times = dict[str, list[float]]


def middle(lines: list[str]) -> str:
    """The transcript, without the panes beside it."""
    return "\n".join(line.split("│")[1] for line in lines if line.count("│") >= 2)


def curve(lines: list[str]) -> bool:
    """Whether the run's curve is painted in its pane."""
    at = next((at for at, line in enumerate(lines) if "│ RUN" in line), len(lines))
    return dots(lines[at:]) > 20


def main() -> int:
    """Print the table; returns 0 whatever the numbers are."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.reattach", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="qw-") as folder:
        isolate(Path(folder))
        found = asyncio.run(_all())
    if args.json:
        print(json.dumps(found))
        return 0
    for what, times in found.items():
        for mark, seconds in times.items():
            usual, most = statistics.median(seconds), max(seconds)
            print(f"{what:<16}{mark:<12}median {usual:.2f} s  most {most:.2f} s  (n={len(seconds)})")
    return 0


async def _all() -> dict[str, Times]:
    found = {}
    script = Script(models=(MODEL,), chats=(CHAT,), messages=(ASKED, REPLY))
    async with engine_with(script):
        writing = asyncio.create_task(_grow(script))
        found["a reply grows"] = await _measured({"the reply": lambda lines: "usual" in middle(lines)})
        writing.cancel()
    client = await connect(Target())
    try:
        chat = await client.request(commands.NewChat(model="demo"))
        await client.request(commands.Send(chat=chat.id, text=QUESTION))
        await asyncio.sleep(8.0)
        marks: Marks = {"the chat": lambda lines: QUESTION in middle(lines)}
        found["nothing to do"] = await _measured(marks)
        await training(client)
        await asyncio.sleep(5.0)
        found["a run trains"] = await _measured({**marks, "the curve": curve})
    finally:
        await client.close()
        stop_engine()
    return found


async def _grow(script: Script) -> None:
    """A reply at the pace of a real one; who comes later reads what there is."""
    text = TEXT
    while True:
        piece = (TEXT * 40)[len(text) : len(text) + 4]
        text += piece
        script._messages = (ASKED, replace(REPLY, state="answering", text=text))
        script.tell(events.TextDelta("c1", "a1", "answer", len(text) - len(piece), piece))
        await asyncio.sleep(1 / RATE)


async def _measured(marks: Marks) -> Times:
    """Seconds from the start of the program until each is there; each start is killed after it."""
    times: Times = {mark: [] for mark in marks}
    for _ in range(TIMES):
        with PtyApp() as app:
            for mark, seconds in zip(marks, await app.stamps(*marks.values(), seconds=WATCHED), strict=True):
                times[mark].append(seconds)
    return times


if __name__ == "__main__":
    raise SystemExit(main())
