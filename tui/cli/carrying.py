"""Brings what a command names to the machine of its engine, and goes on by itself where the line drops."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from engine.api import Client, EngineLost, Target, commands, connect, push, runs
from tui import hosts, places
from tui.cli.attached import target
from tui.cli.progress_line import show
from tui.format import percent, seconds, size
from tui.glyphs import bar

WAITS = (0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0)
"""Seconds before each further try to reach a host whose line dropped."""
WIDTH = 20
"""Cells of the bar."""
TOLD = 0.1
"""Seconds between two looks of the progress line."""
T = TypeVar("T")


def sided(text: str, host: str, folder: Path | None = None) -> str:
    """`here:/whole/path`, or `there:path` as it was typed. Raises EngineError `place_unknown`."""
    called = hosts.called(host)
    named = places.parse(text, host, called)
    path = _whole(named.path, folder)
    place = places.settle(text, host, exists=not named.side and path.is_file(), called=called)
    return f"{places.HERE}:{path}" if place.side == "here" else f"{places.THERE}:{place.path}"


def local(text: str, folder: Path | None = None) -> str:
    """The whole path of a file here, whether `here:` stands before it or not."""
    return str(_whole(places.parse(text, "").path, folder))


async def carried(client: Client, text: str) -> str:
    """What the engine should read: `here:` files are sent to it by their hash, `there:` ones are named.

    Anything else stays as it is. Raises what `push` raises.
    """
    if not client.host:
        return text
    if text.startswith(f"{places.THERE}:"):
        return text[len(places.THERE) + 1 :]
    if not text.startswith(f"{places.HERE}:"):
        return text
    path = Path(text[len(places.HERE) + 1 :])
    try:
        parcel: commands.Parcel = await push(client, path, Progress(f"sending {path.name}"))
    except asyncio.CancelledError:
        print("\nqwill: What was sent is kept; the same command goes on from there.", file=sys.stderr)
        raise
    finally:
        show("")
    return parcel.path


async def carried_spec(client: Client, spec: runs.TrainSpec) -> runs.TrainSpec:
    """The run with its data, evaluation data and reward where the engine is."""
    return replace(
        spec,
        data=await carried(client, spec.data),
        eval_data=await carried(client, spec.eval_data),
        reward=await carried(client, spec.reward),
    )


@asynccontextmanager
async def attached_with(
    args: argparse.Namespace, first: Callable[[Client], Awaitable[T]]
) -> AsyncIterator[tuple[Client, T]]:
    """A client, and what `first` made of it; where the line to a host drops meanwhile, both anew.

    Raises QwillError when no engine can be reached, or when `first` fails otherwise.
    """
    client = await connect(target(args), workbench=False)
    try:
        while True:
            try:
                made = await first(client)
                break
            except EngineLost as error:
                if not client.host or not error.info.retryable:
                    raise
                await client.close()
                client = await again(client.host, error)
        yield client, made
    finally:
        await client.close()


async def again(host: str, lost: EngineLost) -> Client:
    """A new line to a host, with nobody asked for anything; raises EngineLost when it stays away."""
    for wait in WAITS:
        show(f"{lost.info.title}. Connecting again in {seconds(wait)}")
        await asyncio.sleep(wait)
        try:
            client = await connect(Target(host=host, person=False))
        except EngineLost as error:
            lost = error
            if not error.info.retryable:
                break
            continue
        finally:
            show("")
        return client
    raise lost


class Progress:
    """Tells of bytes on one line of the terminal, a few times a second."""

    def __init__(self, words: str) -> None:
        self._words = words
        self._told = 0.0

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._told >= TOLD or done == total:
            self._told = now
            share = done / total if total else 1.0
            show(f"{self._words} {bar(share, WIDTH)} {percent(share)} · {size(done)} of {size(total)}")


def _whole(text: str, folder: Path | None) -> Path:
    path = Path(text)
    with contextlib.suppress(RuntimeError):  # ~ of nobody: whoever reads it says so
        path = path.expanduser()
    return ((folder or Path()) / path).absolute()
