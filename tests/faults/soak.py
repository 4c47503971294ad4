"""A long sitting: a real engine with chats, runs, a workbench in a pty and `qwill monitor`, and what leaks.

    python -m tests.faults.soak [MINUTES] [--json FILE]      # 30 minutes by itself; `make soak`

Work and quiet take turns. Memory is compared in the quiet moments, where an engine holds nothing but what it
keeps, and the slope over them is what counts; idle CPU is measured there too. The first fifth warms up.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support import process_figures as figures
from tests.support.process_figures import Figures, Slope

MIB = 1 << 20
CYCLE = 60.0
"""Seconds of work and quiet together."""
QUIET = 15.0
SETTLE = 4.0
"""Seconds of a quiet time that are left out of it: what was just done is put away then."""
LOOK = 1.0
"""Seconds between two keys that change what is shown."""
PERIOD = 1.0
"""Seconds between two readings."""
WARM_SHARE = 0.2
SLOPE_LIMIT = 1.0
"""MiB an hour by which the engine's memory may rise (F16)."""
UI_LIMIT = 0.05
"""Share of one core that the workbench may take while nobody does anything (F16)."""
ENGINE_LIMIT = 0.05
"""The same for an engine with a workbench and a monitor attached."""
WORKBENCH = "workbench"
COUNTS = ("descriptors", "threads")
HEADERS = ("RSS first", "last", "peak", "slope MiB/h", "fds", "threads", "idle CPU", "CPU")
WIDTHS = (11, 7, 7, 19, 11, 11, 10, 8)
"""Of the table's columns after the first."""


@dataclass
class Watched:
    """One process and its readings; `quiet` are those while nothing was asked of it."""

    pid: int
    all: list[Figures] = field(default_factory=list)
    quiet: list[list[Figures]] = field(default_factory=list)


class Readings:
    """A thread that reads all watched processes once a second."""

    def __init__(self) -> None:
        self.of: dict[str, Watched] = {}
        self._quiet = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self, pids: Mapping[str, int]) -> None:
        """Begin with these processes."""
        self.of = {name: Watched(pid) for name, pid in pids.items()}
        self._thread.start()

    def close(self) -> None:
        self._stopped.set()
        self._thread.join(10)

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Nothing is asked of anybody meanwhile."""
        for each in self.of.values():
            each.quiet.append([])
        self._quiet = True
        yield
        self._quiet = False

    def _work(self) -> None:
        while not self._stopped.wait(PERIOD):
            for each in self.of.values():
                reading = figures.read(each.pid)
                if reading is None:
                    continue
                each.all.append(reading)
                if self._quiet:
                    each.quiet[-1].append(reading)


class Sitting:
    """A person with a workbench, a script that chats and trains, and a monitor."""

    def __init__(self, home: Path, seconds: float) -> None:
        self.readings = Readings()
        self.turns = self.runs = self.typed = 0
        self._home = home
        self._ends = time.monotonic() + seconds
        self._chance = random.Random(16)
        self._done: set[str] = set()
        self._news = asyncio.Event()

    async def spend(self) -> dict[str, int]:
        """All of it; returns who was watched, by process id."""
        from engine.api import Target, connect, lock_holder
        from tests.support.pty_app import QWILL, PtyApp

        with PtyApp(columns=120, lines=40) as app:
            await app.until("thinking on", 180)
            drain = asyncio.create_task(_drained(app))
            monitor = subprocess.Popen([*QWILL, "monitor", "--json"], stdout=subprocess.DEVNULL)
            self._client = await connect(Target())
            hear = self._hearing = asyncio.create_task(self._hear())
            engine = lock_holder() or 0
            pids = {"engine": engine, "its parent": _parent(engine), WORKBENCH: app.pid}
            self.readings.start(pids | {"qwill monitor": monitor.pid})
            try:
                while time.monotonic() < self._ends:
                    await self._cycle(app)
            finally:
                self.readings.close()
                monitor.kill()
                monitor.wait()
                hear.cancel()
                drain.cancel()
                with suppress(asyncio.CancelledError):
                    await drain
                await self._client.close()
        return pids

    async def _cycle(self, app: Any) -> None:
        """A run with chat turns beside it, a question at the keyboard, then nothing."""
        from engine.api import commands

        ends = min(time.monotonic() + CYCLE, self._ends)
        run = await self._client.request(commands.StartRun(spec=_spec(self.runs)))
        self.runs += 1
        chat = await self._client.request(commands.NewChat(model="demo"))
        await self._type(app)
        while time.monotonic() < ends - QUIET:
            await self._turn(chat.id)
            await asyncio.sleep(2.0)
        await self._over(run.id)
        with self.readings.quiet():
            await asyncio.sleep(max(QUIET, ends - time.monotonic()))

    async def _type(self, app: Any) -> None:
        """What a person does at the workbench: another screen now and then, a new chat, a question."""
        for key in (("f3", "f5", "f2")[self.typed % 3], "esc", "ctrl+n"):
            app.press(key)
            await asyncio.sleep(LOOK)  # an Escape with a key right behind it is an Alt
        app.type(f"What is {self._chance.randint(10, 999)} + {self._chance.randint(10, 999)}?")
        app.press("enter")
        self.typed += 1

    async def _turn(self, chat: str) -> None:
        from engine.api import commands

        question = f"What is {self._chance.randint(10, 999)} + {self._chance.randint(10, 999)}?"
        sent = await self._client.request(commands.Send(chat=chat, text=question))
        await self._heard(sent.reply.id)
        self.turns += 1

    async def _over(self, run: str) -> None:
        """End a run that still trains, and wait until it is off the list of what is under way."""
        from engine.api import EngineError, commands, runs

        with suppress(EngineError):  # it ended by itself
            await self._client.request(commands.StopRun(run))
        async with asyncio.timeout(180):
            while (
                await self._client.request(commands.ReadRun(run, 1 << 30))
            ).run.state not in runs.ENDED_STATES:
                await asyncio.sleep(0.2)

    async def _hear(self) -> None:
        from engine.api import events

        async for event in self._client.events():
            if isinstance(event.body, events.ReplyDone):
                self._done.add(event.body.message.id)
                self._news.set()

    async def _heard(self, reply: str) -> None:
        async with asyncio.timeout(180):
            while reply not in self._done:
                self._news.clear()
                await asyncio.wait(
                    [self._hearing, asyncio.create_task(self._news.wait())], return_when="FIRST_COMPLETED"
                )
                if self._hearing.done():
                    self._hearing.result()
        self._done.discard(reply)


async def _drained(app: Any) -> None:
    """Read what the terminal gets, as a terminal does, without drawing it."""
    while True:
        while app._read():
            pass
        del app.raw[:]
        await asyncio.sleep(0.02)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _spec(number: int) -> Any:
    from engine.api import runs

    return runs.TrainSpec(model="demo", data="shipped:pirate", name=f"soak-{number}", steps=400, seed=number)


def judged(readings: Readings) -> list[dict[str, Any]]:
    """The figures of each process, over what came after the warm-up."""
    return [_row(name, watched) for name, watched in readings.of.items()]


def _row(name: str, watched: Watched) -> dict[str, Any]:
    first = watched.all[0].at
    warm = first + WARM_SHARE * (watched.all[-1].at - first)
    whole = [each for each in watched.all if each.at >= warm]
    rests = [[each for each in rest if each.at >= rest[0].at + SETTLE] for rest in watched.quiet if rest]
    rests = [rest for rest in rests if len(rest) > 1 and rest[0].at >= warm]
    floor = [min(rest, key=lambda each: each.anon) for rest in rests]
    idle = [figures.share(rest[0], rest[-1]) for rest in rests]
    risen = _slope([(each.at, each.anon / MIB) for each in floor])
    whole_risen = _slope([(each.at, each.anon / MIB) for each in whole])
    return {
        "process": name,
        "rss_first": whole[0].rss,
        "rss_last": whole[-1].rss,
        "rss_peak": max(each.rss for each in whole),
        "floors_mib": [round(each.anon / MIB, 2) for each in floor],
        "slope_mib_h": risen and round(risen.per_hour, 2),
        "slope_error": risen and round(risen.error, 2),
        "slope_of_all_mib_h": whole_risen and round(whole_risen.per_hour, 2),
        "descriptors": [floor[0].descriptors, floor[-1].descriptors] if floor else None,
        "descriptors_peak": max(each.descriptors for each in whole),
        "threads": [floor[0].threads, floor[-1].threads] if floor else None,
        "idle_cpu": round(sum(idle) / len(idle), 4) if idle else None,
        "cpu": round(figures.share(whole[0], whole[-1]), 4),
    }


def _slope(points: list[tuple[float, float]]) -> Slope | None:
    try:
        return figures.slope(points)
    except ValueError:
        return None


def faults(rows: list[dict[str, Any]]) -> list[str]:
    """What is over its limit, in words. A slope counts as far as two standard errors leave no doubt."""
    found = []
    for row in rows:
        name, risen, error = row["process"], row["slope_mib_h"], row["slope_error"]
        if risen is not None and risen - 2 * error > SLOPE_LIMIT:
            found.append(f"{name}: {risen:+.1f} ± {2 * error:.1f} MiB/h, {SLOPE_LIMIT} is the limit")
        if row["descriptors"] and row["descriptors"][1] > row["descriptors"][0]:
            found.append(f"{name}: descriptors went from {row['descriptors'][0]} to {row['descriptors'][1]}")
        limit = UI_LIMIT if name == WORKBENCH else ENGINE_LIMIT
        if row["idle_cpu"] is not None and row["idle_cpu"] > limit:
            found.append(f"{name}: {row['idle_cpu']:.1%} of a core while idle, {limit:.0%} is the limit")
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """For people: MiB, the slope with two standard errors, counts at the first and the last quiet time."""
    lines = [_line("process", *HEADERS)]
    for row in rows:
        sizes = (f"{row[key] / MIB:.0f}" for key in ("rss_first", "rss_last", "rss_peak"))
        risen = row["slope_mib_h"]
        slope = "-" if risen is None else f"{risen:+.2f} ± {2 * row['slope_error']:.2f}"
        counts = ("-" if (pair := row[key]) is None else f"{pair[0]} → {pair[1]}" for key in COUNTS)
        idle = "-" if row["idle_cpu"] is None else f"{row['idle_cpu']:.2%}"
        lines.append(_line(row["process"], *sizes, slope, *counts, idle, f"{row['cpu']:.1%}"))
    return "\n".join(lines)


def _line(name: str, *cells: str) -> str:
    return name.ljust(16) + "".join(cell.rjust(width) for cell, width in zip(cells, WIDTHS, strict=True))


def _move_in(home: Path) -> None:
    """Folders of its own for everything that this process starts, as the tests have."""
    os.environ["HOME"] = str(home)
    for name in ("STATE", "DATA", "CONFIG", "CACHE"):
        os.environ[f"XDG_{name}_HOME"] = str(home / name.lower())
    os.environ |= {"HF_HOME": str(home / "hf"), "HF_HUB_OFFLINE": "1", "QWILL_FIND_SERVERS": "0"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("minutes", type=float, nargs="?", default=30.0)
    parser.add_argument("--json", metavar="FILE", default="", help="write the figures there, too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="qw-", ignore_cleanup_errors=True) as folder:
        _move_in(Path(folder))
        from engine.api import stop_engine

        sitting = Sitting(Path(folder), args.minutes * 60)
        try:
            pids = asyncio.run(sitting.spend())
        finally:
            stop_engine()
        left = _left(Path(folder))
    rows = judged(sitting.readings)
    wrong = faults(rows) + [f"left over: {words}" for words in left.values()]
    print(f"{args.minutes:g} minutes: {sitting.turns} chat turns, {sitting.runs} runs, {sitting.typed} typed")
    print(table(rows))
    print("\n".join(wrong) or "Nothing is over its limit.")
    facts = {"minutes": args.minutes, "turns": sitting.turns, "runs": sitting.runs, "typed": sitting.typed}
    record = json.dumps(facts | {"pids": pids, "processes": rows, "faults": wrong, "cores": os.cpu_count()})
    if args.json:
        Path(args.json).write_text(record + "\n")
    else:
        print(record)
    return 1 if wrong else 0


def _left(home: Path) -> dict[int, str]:
    """Processes of this home a moment after its engine was stopped."""
    deadline = time.monotonic() + 5
    while (left := figures.of_home(home)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


if __name__ == "__main__":
    sys.exit(main())
