"""`python -m tests.bench.wire [--json] [--local]`: bytes that the screen sends to its terminal, at 120x40.

A real workbench in a pty, as over ssh (`--local`: as on this machine): start, idle, a reply, a run with its
panes, the run and memory screens, other screens, a page of a long reply. A frame is what lies between two
marks of synchronised output. Then keys through a line of 300 ms and 64 KiB/s: how long until each is shown.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from engine.api import events, specs
from tests.support.echoes import echoes
from tests.support.pty_app import FRAME, FRAME_END, QWILL, ROOT, PtyApp
from tests.support.scripted import Script, engine_with
from tests.support.throttled_pty import Line, ThrottledPty

REMOTE = {"SSH_CONNECTION": "192.0.2.2 50000 192.0.2.1 22"}
KIB = 1024
IDLE, GRAPHS, STREAMING, FRAME_MOST = 4 * KIB, 16 * KIB, 32 * KIB, 16 * KIB
"""Bytes a second, and the most that one frame may have."""
SECONDS = 8.0
"""That each state is watched."""
SCREENS = (("f2", "models"), ("f3", "runs"), ("f4", "train"), ("f5", "memory"), ("f1", "help"))
RATE = 20
"""Tokens a second of the long reply."""
TEXT = (
    "## Why it jumps\n\nThree **usual** causes, in the order in which to check them:\n\n"
    "1. The *learning rate* is at its peak right after the warm-up, and too high.\n"
    "2. A batch of unlike rows, such as `code` among prose.\n\n"
    "```python\nscheduler = get_cosine_schedule_with_warmup(optimizer, 200, 2000)\n"
    "for step, batch in enumerate(loader):\n    loss = model(**batch).loss\n```\n\n"
    "> A spike that comes back each pass belongs to the data.\n\n"
)
MODEL = specs.ModelInfo("demo", "demo", source="demo", thinking="switchable", context=32768, state="ready")
CHAT = specs.ChatInfo("c1", "a long reply", "demo", updated=2.0, head="a1")
ASKED = specs.Message("u1", "c1", "user", "Why does my loss jump after 200 steps?", created=1.0)
REPLY = specs.Message("a1", "c1", "assistant", parent="u1", model="demo", state="queued")


class Row(msgspec.Struct):
    """What one state cost."""

    what: str
    seconds: float
    bytes: int
    frames: int
    largest: int
    """Bytes of its largest frame."""
    budget: int | None = None
    """Bytes a second; None where only the frames count."""

    @property
    def rate(self) -> float:
        return self.bytes / self.seconds


def main() -> int:
    """Print the table; returns 0 whatever the numbers are."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.wire", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.add_argument("--local", action="store_true", help="as on this machine, not as over ssh")
    parser.add_argument("--only", default="", help="the parts whose name has this in it")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="qw-") as folder:
        isolate(Path(folder))
        rows, keys = asyncio.run(_all({} if args.local else REMOTE, args.only))
    if args.json:
        print(json.dumps({"rows": msgspec.to_builtins(rows), "keys": keys}))
    else:
        _print(rows, keys)
    return 0


def isolate(folder: Path) -> None:
    """Let the environment name a home of its own."""
    for name in ("STATE", "DATA", "CONFIG", "CACHE"):
        os.environ[f"XDG_{name}_HOME"] = str(folder / name.lower())
    os.environ |= {"HOME": str(folder), "HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "1"}
    os.environ |= {"QWILL_FIND_SERVERS": "0"}
    for name in ("SSH_CONNECTION", "SSH_TTY", "NO_COLOR", "QWILL_REMOTE"):
        os.environ.pop(name, None)


def _print(rows: list[Row], keys: dict[str, dict[str, float]]) -> None:
    print(f"{'what':<26}{'KiB/s':>8}{'budget':>8}{'frames/s':>10}{'B/frame':>9}{'largest':>9}{'KiB':>8}")
    for row in rows:
        budget = f"{row.budget / KIB:.0f}" if row.budget else "-"
        mean = row.bytes / row.frames if row.frames else 0
        print(
            f"{row.what:<26}{row.rate / KIB:>8.2f}{budget:>8}{row.frames / row.seconds:>10.1f}{mean:>9.0f}"
            f"{row.largest:>9}{row.bytes / KIB:>8.1f}"
        )
    for what, found in keys.items():
        print(f"key echo, {what:<16} p50 {found['p50']:.0f} ms  p95 {found['p95']:.0f} ms  (n={found['n']})")


async def _all(env: dict[str, str], only: str) -> tuple[list[Row], dict[str, dict[str, float]]]:
    rows: list[Row] = []
    keys: dict[str, dict[str, float]] = {}
    if only in "scripted":
        rows += await scripted(env)
    if only in "engine":
        rows += await with_engine(env)
    if only in "keys":
        keys = await slow_line(env)
    return rows, keys


# --- measuring --------------------------------------------------------------------------------


def frame_sizes(data: bytes) -> list[int]:
    """Bytes of each frame, its marks included."""
    marks = re.escape(FRAME) + b".*?" + re.escape(FRAME_END)
    return [len(found[0]) for found in re.finditer(marks, data, re.S)]


async def watch(app: PtyApp, what: str, seconds: float = SECONDS, budget: int | None = None) -> Row:
    """What comes in so many seconds from now on."""
    app.pump()
    before, began = len(app.raw), time.monotonic()
    while time.monotonic() - began < seconds:
        app.pump()
        await asyncio.sleep(0.02)
    data = bytes(app.raw[before:])
    frames = frame_sizes(data)
    return Row(what, time.monotonic() - began, len(data), len(frames), max(frames, default=0), budget)


async def after(app: PtyApp, what: str, *keys: str, seconds: float = 1.2) -> Row:
    """What some keys cost, until it is quiet again."""
    app.press(*keys)
    return await watch(app, what, seconds)


# --- a reply, and its pages -------------------------------------------------------------------


def long_script() -> Script:
    """A scripted engine with one chat, in which a reply is about to be written."""
    return Script(models=(MODEL,), chats=(CHAT,), messages=(ASKED, REPLY))


async def write_reply(script: Script, seconds: float, rate: int = RATE) -> str:
    """A piece of the long reply, `rate` times a second; gives back all of its text."""
    script.tell(events.ReplyMoved("c1", "a1", "answering"))
    text, source = "", (TEXT * 40)
    began, sent = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        piece = source[len(text) : len(text) + 4]
        script.tell(events.TextDelta("c1", "a1", "answer", len(text), piece))
        text += piece
        sent += 1
        stats = specs.ReplyStats(
            prompt_tokens=24,
            tokens=sent,
            ttft_ms=180,
            tokens_per_s=rate,
            context_used=sent,
            context_size=32768,
        )
        if sent % 4 == 0:
            script.tell(events.ReplyProgress("c1", "a1", stats))
        await asyncio.sleep(max(0.0, began + sent / rate - time.monotonic()))
    return text


async def scripted(env: dict[str, str]) -> list[Row]:
    """A long reply at a steady pace, then its pages."""
    script = long_script()
    rows = []
    async with engine_with(script):
        with PtyApp(env=env) as app:
            await app.until(lambda _: script.seats)
            await app.settled()
            script.tell(events.TextDelta("c1", "a1", "answer", 0, ""))
            await watch(app, "", 1.0)
            writing = asyncio.create_task(write_reply(script, 2 * SECONDS))
            rows.append(await watch(app, f"streaming, {RATE} tokens/s", 2 * SECONDS, STREAMING))
            text = await writing
            done = msgspec.structs.replace(REPLY, state="done", finish="stop", text=(TEXT * 12))
            script.tell(events.ReplyDone(done))
            await watch(app, "", 2.0)
            assert text
            app.press("tab")
            await watch(app, "", 1.0)
            for what, key in (("page up", "pageup"), ("page down", "pagedown")):
                pages = [await after(app, what, key, seconds=1.0) for _ in range(4)]
                rows.append(_joined(f"{what}, one a second", pages))
    return rows


def _joined(what: str, rows: list[Row]) -> Row:
    return Row(
        what,
        sum(row.seconds for row in rows),
        sum(row.bytes for row in rows),
        sum(row.frames for row in rows),
        max(row.largest for row in rows),
    )


# --- the engine -------------------------------------------------------------------------------


def qwill(*words: str) -> None:
    """Run one command to its end."""
    done = subprocess.run([*QWILL, *words], cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"qwill {' '.join(words)}: {done.stderr}")


@asynccontextmanager
async def workbench(env: dict[str, str]) -> AsyncIterator[PtyApp]:
    """A workbench on the demo model, whose engine ends with it."""
    try:
        with PtyApp(env=env) as app:
            yield app
    finally:
        qwill("engine", "stop")


async def with_engine(env: dict[str, str]) -> list[Row]:
    """Start, idle, screens, a reply of the demo model, and a run."""
    async with workbench(env) as app:
        rows = [await watch(app, "start", 6.0)]
        await app.until("thinking on")
        await app.settled(1.0)
        rows.append(await watch(app, "idle", SECONDS, IDLE))
        rows.append(await _typing(app))
        for key, what in SCREENS:
            rows.append(await after(app, f"open {what}", key, seconds=2.5))
            rows.append(await after(app, f"close {what}", "esc"))
        app.type("What is 482 + 359?")
        app.press("enter")
        rows.append(await watch(app, "reply of the demo", 3.0, STREAMING))
        await app.settled(1.0)
        qwill("train", "--data", "shipped:pirate", "--steps", "400", "--json")
        await app.until("▶", 60)
        rows.append(await watch(app, "run, panes open", SECONDS, GRAPHS))
        for key, what in (("f3", "runs"), ("f5", "memory")):
            app.press(key)
            await watch(app, "", 2.0)
            rows.append(await watch(app, f"run, {what} screen", SECONDS, GRAPHS))
            app.press("esc")
            await watch(app, "", 1.0)
    return rows


async def _typing(app: PtyApp) -> Row:
    parts = []
    for letter in "a draft of ten":
        app.type(letter)
        parts.append(await watch(app, "", 0.2))
    for _ in parts:
        app.press("backspace")
    await watch(app, "", 1.0)
    return _joined("typing, 5 keys a second", parts)


# --- the slow line ----------------------------------------------------------------------------


async def slow_line(env: dict[str, str]) -> dict[str, dict[str, float]]:
    """Milliseconds from a key to its letter on the screen, behind 300 ms and 64 KiB/s."""
    found = {}
    for loss in (0.0, 0.01):
        script, line = long_script(), Line(loss=loss)
        words = f", {loss:.0%} loss" if loss else ""
        async with engine_with(script):
            with ThrottledPty(env=env, line=line) as app:
                await app.until(lambda _, script=script: script.seats)  # type: ignore[misc]
                await app.quiet()
                found[f"idle{words}"] = figures(await echoes(app, 24))
                writing = asyncio.create_task(write_reply(script, 60.0))
                await asyncio.sleep(1.0)
                found[f"streaming{words}"] = figures(await echoes(app, 40))
                writing.cancel()
    try:
        with ThrottledPty(env=env) as app:
            await app.until("thinking on", 60)
            qwill("train", "--data", "shipped:pirate", "--steps", "400", "--json")
            await app.until("▶", 60)
            found["a run trains"] = figures(await echoes(app, 40))
    finally:
        qwill("engine", "stop")
    return found


def figures(times: list[float]) -> dict[str, float]:
    """Median and 95th percentile in milliseconds."""
    ordered = sorted(times)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return {"p50": 1000 * statistics.median(ordered), "p95": 1000 * p95, "n": len(ordered)}


if __name__ == "__main__":
    sys.exit(main())
