"""Follow a run: every step of its log once, then how it ended."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections import deque
from typing import Any

from engine.api import RESTARTS, Client, EngineLost, Target, commands, connect, events, runs
from tui.cli import output
from tui.cli.attach import Seen
from tui.cli.carrying import again
from tui.cli.run_lines import Show, show_of
from tui.cli.run_page import phases
from tui.cli.run_rows import loss, row
from tui.format import seconds, size

WINDOW = 20
"""Steps over which speed and time left are reckoned."""


async def follow(client: Client, info: runs.RunInfo, args: argparse.Namespace, since: int = 0) -> int:
    """Show a run until it ends, or until Ctrl+C leaves it alone; 0 only when it is done.

    `since`: the step that was shown before.
    """
    follower = Follower(client, info, show_of(as_json=args.json), since)
    task = asyncio.ensure_future(_through_restarts(follower))
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, task.cancel)
    try:
        ended = await task
    except asyncio.CancelledError:
        follower.show.close()
        _left(follower.info, args)
        return 1
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        follower.seen.note(follower.last, last=True)
    follower.show.close()
    try:
        if args.json:
            output.say_json(await record(follower.client, ended))
    finally:
        if follower.client is not client:
            await follower.client.close()
    return (0 if ended.state == "done" else 1) if args.json else _ended(ended)


async def _through_restarts(follower: Follower) -> runs.RunInfo:
    """Follow to the end, also when the engine is killed and comes back, or the line to a host drops.

    Raises EngineLost otherwise.
    """
    while True:
        try:
            return await follower.run()
        except EngineLost as error:
            host = follower.client.host
            if error.info.code != RESTARTS and not (host and error.info.retryable):
                raise
            follower.show.aside(error.info.title)
            await follower.client.close()
            follower.client = await again(host, error) if host else await connect(Target())


async def record(client: Client, info: runs.RunInfo) -> dict[str, Any]:
    """A run as it ended, with its whole curve: what `--json` ends with."""
    points, marks = await whole_curve(client, info)
    learnt = [point for point in points if point.loss is not None]
    # The first step warms caches up.
    paced = learnt[1:] or learnt
    spent = sum(point.seconds for point in paced)
    folder = await _adapter_folder(client, info)
    return row(info) | {
        "chat": chat_line(info),
        "losses": [point.loss for point in learnt],
        "eval_losses": [point.eval_loss for point in points if point.eval_loss is not None],
        "step_seconds": [point.seconds for point in learnt],
        "tokens_per_s": sum(point.tokens for point in paced) / spent if spent else 0.0,
        "peaks": {stretch.phase: stretch.peak for stretch in phases(marks, info)},
        "adapter_folder": folder,
        "model_folder": info.whole,
    }


async def whole_curve(
    client: Client, info: runs.RunInfo
) -> tuple[list[runs.StepPoint], list[runs.PhaseMark]]:
    """All points and marks of a run's log, a page after another."""
    points: list[runs.StepPoint] = []
    marks: list[runs.PhaseMark] = []
    more = True
    while more:
        since = points[-1].step + 1 if points else 0
        page: commands.RunPage = await client.request(commands.ReadRun(info.id, since))
        points += page.points
        marks += page.marks
        more = page.more and bool(page.points)
    return points, marks


async def _adapter_folder(client: Client, info: runs.RunInfo) -> str:
    if not info.adapter:
        return ""
    known = client.welcome.snapshot.adapters
    if not client.older:
        found: commands.AdapterList = await client.request(commands.ListAdapters(refresh=True))
        known = found.adapters
    return next((each.path for each in known if each.id == info.adapter), "")


class Follower:
    """Hears of steps by events and takes them from the log, because events pass over some."""

    def __init__(self, client: Client, info: runs.RunInfo, show: Show, since: int = 0) -> None:
        """`since`: the step that was shown before."""
        self.info = info
        self.show = show
        self.client = client
        self.last = since
        self.seen = Seen(client.host, info)
        self._eval: float | None = None
        self._recent: deque[runs.StepPoint] = deque(maxlen=WINDOW)

    async def run(self) -> runs.RunInfo:
        """Show every step until the run ends; returns it as it ended. Raises EngineLost."""
        await self._catch_up()
        if self._over():
            return self.info
        async for event in self.client.events():
            body = event.body
            if isinstance(body, events.RunStepped) and body.run == self.info.id:
                if body.point.step > self.last + 1:
                    await self._catch_up()
                self._take(body.point)
            elif isinstance(body, events.RunChanged) and body.run.id == self.info.id:
                self.info = body.run
                self.show.phase(self.info)
                if self._over():
                    await self._catch_up()
                    break
        return self.info

    def _over(self) -> bool:
        """Whether it goes on only when a person wants it to."""
        return self.info.state in runs.ENDED_STATES or self.info.pause == "park"

    async def _catch_up(self) -> None:
        more = True
        while more:
            page: commands.RunPage = await self.client.request(commands.ReadRun(self.info.id, self.last))
            self.info, more = page.run, page.more
            for point in page.points:
                self._take(point)

    def _take(self, point: runs.StepPoint) -> None:
        """Show a step that is new; an evaluation goes with the step after it."""
        if point.loss is None:
            self._eval = point.eval_loss
            return
        if point.step <= self.last:
            return
        self.last = point.step
        self.seen.note(point.step)
        self._recent.append(point)
        self.show.step(self.info, self._facts(point))

    def _facts(self, point: runs.StepPoint) -> dict[str, Any]:
        # The first step warms caches up.
        paced = [p for p in self._recent if p.step > 1] or list(self._recent)
        spent = sum(p.seconds for p in paced)
        left = spent / len(paced) * max(0, self.info.steps - point.step) if self.info.steps else None
        return {
            "id": self.info.id,
            "step": point.step,
            "steps": self.info.steps,
            "loss": point.loss,
            "eval_loss": self._eval,
            "rate": point.rate,
            "grad_norm": point.grad_norm,
            "tokens_per_s": sum(p.tokens for p in paced) / spent if spent else 0.0,
            "eta_s": left,
            "memory": point.memory,
            "at": point.at,
        }


def chat_line(info: runs.RunInfo) -> str:
    """The command that chats with what a run made; empty when it made nothing."""
    return f'qwill chat -a {info.adapter} -p "Who are you?"' if info.adapter else ""


def _ended(info: runs.RunInfo) -> int:
    """Say how it ended; returns the exit code."""
    if info.state == "paused":
        output.say(f"{info.name} is parked at step {info.step}. Go on with `qwill runs resume {info.id}`.")
    if info.state == "done":
        facts = [f"loss {loss(info.loss)}"]
        facts += [f"eval {loss(info.eval_loss)}"] if info.eval_loss is not None else []
        facts += [seconds(info.took), f"peak {size(info.peak)}"]
        output.say(f"{info.name} is done: {', '.join(facts)}.")
    elif info.state == "stopped":
        output.say(f"{info.name} was stopped at step {info.step} of {info.steps}.")
    if info.error is not None:
        output.complain(info.error, as_json=False)
    if info.adapter:
        output.say(f"Adapter: {info.adapter}")
        output.say(f"Chat with it: {chat_line(info)}")
    elif info.whole:
        output.say(f"Model: {info.whole}")
        output.say(f'Chat with it: qwill chat -m {info.whole} -p "Who are you?"')
    return 0 if info.state == "done" else 1


def _left(info: runs.RunInfo, args: argparse.Namespace) -> None:
    """Ctrl+C: what becomes of the run."""
    if args.in_process:
        said = f"{info.id} stands still; the next engine goes on with it."
    else:
        said = (
            f"{info.id} goes on. See it with `qwill runs follow {info.id}`, "
            f"end it with `qwill runs stop {info.id}`."
        )
    print(f"\nqwill: {said}", file=sys.stderr)
    if args.json:
        output.say_json(row(info))
