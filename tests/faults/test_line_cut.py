"""The line to another machine is cut at random moments, on either side: no step and no word is lost."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from engine.api import commands, runs
from engine.remote import line_link, master, ssh
from tests.support import process_figures
from tests.support.sshd import Box, box_at, needs_sshd
from tui.dialling import Dial
from tui.link import Link
from tui.state import EngineState

pytestmark = [pytest.mark.timeout(3600), needs_sshd]
LONGEST = 0.8
"""Seconds from a question within which the cut falls."""
SILENT = 3
"""Which of the four ways to cut a line is told by nobody."""
STEPS = 100_000
"""More than are ever trained here."""
QUIET = 3.0
"""Seconds over which the CPU of what is left is measured, in full counts."""


@pytest.fixture
def box(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    with box_at(monkeypatch) as box:
        yield box


class Screen:
    """A workbench without its paint: the link, what it knows, and what a person looks at."""

    def __init__(self) -> None:
        self.state = EngineState(host="box")
        self.opened = 0
        self.run = self.chat = ""
        self.link = Link(self.state, Dial(host="box"), on_dirty=lambda: None, on_open=self._opened)
        self._tasks = {asyncio.create_task(self.link.run())}

    def _opened(self) -> None:
        self.opened += 1
        self._tasks.add(asyncio.create_task(self._look()))

    async def _look(self) -> None:
        with suppress(Exception):  # cut again meanwhile: the next opening looks again
            if self.run:
                await self.link.read_run(self.run)
            if self.chat:
                await self.link.read(self.chat)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await self.link.close()

    def look(self) -> str:
        """For a test that fails."""
        return f"opened {self.opened} times, {self.state.link}, step {self.last_step()}: {self.state.trouble}"

    def last_step(self) -> int:
        curve = self.state.curves.get(self.run)
        return curve.dots[-1].step if curve is not None and curve.dots else 0


async def until(condition: Callable[[], object], what: Callable[[], object], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what()
        await asyncio.sleep(0.01)


async def test_lines_cut_at_random_moments_lose_no_step_no_word_and_leave_no_process(
    box: Box, full: bool, chance: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = 100 if full else 4
    monkeypatch.setattr(line_link, "BEAT", 0.5)
    screen = Screen()
    try:
        await until(lambda: screen.state.link == "open", screen.look)
        engine = box.engine()
        spec = runs.TrainSpec(model="demo", data="shipped:pirate", steps=STEPS)
        screen.run = (await screen.link.request(commands.StartRun(spec))).id
        screen.chat = (await screen.link.request(commands.NewChat())).id
        await until(lambda: screen.last_step() >= 2, screen.look)
        growing, slowest = 0, 0.0
        for number in range(rounds):
            reply = await ask(screen, f"What is {chance.randint(100, 999)} + {chance.randint(100, 999)}?")
            await asyncio.sleep(chance.uniform(0, LONGEST))
            growing += screen.state.turns[reply].live
            opened, step, began = screen.opened, screen.last_step(), time.monotonic()
            frozen = cut(box, number)
            await until(lambda: screen.opened > opened, screen.look)  # noqa: B023
            for process in frozen:
                process.kill()
            slowest = max(slowest, time.monotonic() - began)
            await until(lambda: not screen.state.turns[reply].live, screen.look)  # noqa: B023
            await same_words(screen, reply)
            await until(lambda: screen.last_step() > step, screen.look)  # noqa: B023
        assert box.engine() == engine
        trained = await all_steps(screen)
        told = f"{rounds} cuts, {growing} in a reply, {trained} steps, slowest return {slowest:.1f} s"
        await screen.link.request(commands.StopRun(screen.run, save=False))
    finally:
        await screen.close()
    left = await nothing_is_left(box, engine, full=full)
    print(f"{told}; {left}")


async def ask(screen: Screen, question: str) -> str:
    sent = await screen.link.request(commands.Send(chat=screen.chat, text=question))
    screen.link.take_messages((sent.user, sent.reply))
    return str(sent.reply.id)


async def same_words(screen: Screen, reply: str) -> None:
    page = await screen.link.request(commands.ReadChat(chat=screen.chat, limit=4))
    stored = next(message for message in page.messages if message.id == reply)
    shown = screen.state.turns[reply]
    assert (stored.state, stored.finish) == ("done", "stop")
    assert (shown.text, shown.thinking) == (stored.text, stored.thinking)
    assert stored.text or stored.thinking


async def all_steps(screen: Screen) -> int:
    """The engine's log has every step once and in order, and the screen has them as far as it goes."""
    steps: list[int] = []
    more = True
    while more:
        since = steps[-1] + 1 if steps else 0
        page = await screen.link.request(commands.ReadRun(run=screen.run, since=since))
        steps += [point.step for point in page.points if point.loss is not None]
        more = page.more and bool(page.points)
    assert steps == list(range(1, len(steps) + 1))
    await screen.link.read_run(screen.run)
    shown = [dot.step for dot in screen.state.curves[screen.run].dots]
    assert shown[-1] >= len(steps)
    if shown[-1] < 1000:  # a longer curve is thinned
        assert shown == list(range(1, shown[-1] + 1))
    return len(steps)


def cut(box: Box, number: int) -> list[psutil.Process]:
    """kill -9 of ssh here, of sshd's session there, or of the process between that and the engine.

    Each fourth time the line falls silent instead, as when a cable is drawn; returns what stands still then.
    """
    there = [process for process in sessions(box) if process.is_running()]
    victims = (box.clients(), there, box.pumps(), there)[number % 4]
    assert victims, number
    for process in victims:
        with suppress(psutil.NoSuchProcess):
            process.suspend() if number % 4 == SILENT else process.kill()
    return there if number % 4 == SILENT else []


def sessions(box: Box) -> list[psutil.Process]:
    """sshd's processes of open connections."""
    assert box.sshd is not None
    found = psutil.Process(box.sshd.pid).children(recursive=True)
    return [process for process in found if process.name().startswith("sshd")]


def words(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return "[mux] that is gone"


async def nothing_is_left(box: Box, engine: int, *, full: bool) -> str:
    """Only the engine and its parent go on there; here a shared connection waits for the next command."""
    await until(lambda: not box.pumps(), box.pumps)
    await until(lambda: all("[mux]" in words(each) for each in box.clients()), box.clients)
    master.leave(ssh.program(), "box")
    await until(lambda: not box.clients() and not sessions(box), lambda: (box.clients(), sessions(box)))
    there = process_figures.of_home(box.home / "state")
    others = [pid for pid in there if pid not in (engine, psutil.Process(engine).ppid())]
    assert not others, there
    if not full:
        return "nothing left"
    first = {pid: process_figures.read(pid) for pid in (*there, os.getpid())}
    await asyncio.sleep(QUIET)
    shares = {
        pid: process_figures.share(before, after)
        for pid, before in first.items()
        if before is not None and (after := process_figures.read(pid)) is not None
    }
    assert all(share < 0.01 for pid, share in shares.items() if pid != engine), shares
    return f"nothing left but the engine ({shares[engine]:.1%} of a core)"
