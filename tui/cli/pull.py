"""`qwill models pull`: a download with its progress on stderr; Ctrl+C cancels it and says how to go on."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from engine.api import Client, commands, events
from tui.cli import output, progress_line
from tui.format import percent, seconds, size

STEP = 0.1
"""Share of a download after which a line is printed where no terminal rewrites it."""


async def pull(client: Client, command: commands.StartDownload, args: argparse.Namespace) -> int:
    """Start or go on with a download, and follow it to its end. 0 only when it is done."""
    info: commands.DownloadInfo = await client.request(command)
    task = asyncio.ensure_future(_follow(client, info))
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, task.cancel)
    try:
        info = await task
    except asyncio.CancelledError:
        info = await client.request(commands.CancelDownload(info.id))
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        progress_line.show("")
    return _ended(info, args)


async def _follow(client: Client, info: commands.DownloadInfo) -> commands.DownloadInfo:
    """Show how it goes on, until nothing of it is under way. Raises EngineLost."""
    shown = _Shown()
    shown.show(info)
    async for event in client.events():
        body = event.body
        if isinstance(body, events.DownloadChanged | events.DownloadProgress) and body.download.id == info.id:
            info = body.download
            if not info.live:
                break
            shown.show(info)
        elif isinstance(body, events.DownloadGone) and body.download == info.id:
            break
    return info


class _Shown:
    """One line that is rewritten on a terminal; elsewhere a line at each tenth and each fault."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._share = -1.0
        self._fault = ""

    def show(self, info: commands.DownloadInfo) -> None:
        share = info.done / info.total if info.total else 0.0
        if self._terminal:
            progress_line.show(line(info, share))
            return
        fault = info.error.title if info.error is not None else ""
        if share - self._share >= STEP or (fault and fault != self._fault):
            self._share = share
            print(output.line(line(info, share)), file=sys.stderr, flush=True)
        self._fault = fault


def line(info: commands.DownloadInfo, share: float) -> str:
    """One download as one line: how far, how fast, how long, or why it waits."""
    facts = [info.model, percent(share), f"{size(info.done)} of {size(info.total)}"]
    if info.error is not None:
        facts.append(f"{info.error.title}; it is tried again")
    elif info.state == "queued":
        facts.append("waits for another download")
    elif info.speed:
        facts.append(f"{size(int(info.speed))}/s")
        facts += [f"{seconds(info.eta_s)} left"] if info.eta_s is not None else []
    return " · ".join(facts)


def _ended(info: commands.DownloadInfo, args: argparse.Namespace) -> int:
    """Say how it ended; returns the exit code."""
    if args.json:
        output.say_json(output.plain(info))
    elif info.state == "done":
        output.say(f"{info.model} is here: {size(info.total)}, commit {info.sha[:12]}.")
        output.say(f"Chat with it: qwill -m {info.model}")
    elif info.error is not None:
        output.complain(info.error, as_json=False)
    else:
        again = " ".join(["qwill models pull", args.id, *(f"--file {name}" for name in args.files)])
        said = f"Cancelled; {size(info.done)} of {size(info.total)} are kept. Go on with `{again}`."
        print(f"qwill: {output.line(said)}", file=sys.stderr)
    return 0 if info.state == "done" else 1
