"""`qwill runs attach`: follow a run again, on from the step that this machine has shown last."""

from __future__ import annotations

import argparse
import sys
import time

import msgspec

from engine.api import Client, EngineError, commands, fault, runs, state_dir, write_atomic
from tui.cli.run_rows import find

KEPT = 100
"""Runs whose last step is remembered."""
EVERY = 1.0
"""Seconds between two notes of the same run."""


async def attach(client: Client, args: argparse.Namespace) -> int:
    """Follow to the end; exit codes as `follow`. Raises EngineError `run_unknown`, `no_run`."""
    from tui.cli.follow import follow

    info = await find(client, args.run) if args.run else await _under_way(client)
    since = 0 if args.all else Seen(client.host, info).step()
    if since and not args.json:
        print(f"qwill: steps up to {since} were shown here before; --all shows them again.", file=sys.stderr)
    return await follow(client, info, args, since)


async def _under_way(client: Client) -> runs.RunInfo:
    """The run that trains, else the one that waits longest, else the newest."""
    listed: commands.RunList = await client.request(commands.ListRuns())
    going = [info for info in listed.runs if info.state not in runs.ENDED_STATES]
    going.sort(key=lambda info: (info.state != "running", info.created))
    found = next(iter(going or listed.runs), None)
    if found is None:
        raise fault("no_run", "There is no run to attach to", remedy="Start one with `qwill train`")
    return found


class Seen:
    """Which step of a run was shown here last, by whatever command; a note that is lost costs nothing."""

    def __init__(self, host: str, info: runs.RunInfo) -> None:
        self._key = f"{host}/{info.id}/{info.created:.0f}"
        self._noted = 0.0

    def step(self) -> int:
        """0 where nothing was shown."""
        return _read().get(self._key, 0)

    def note(self, step: int, *, last: bool = False) -> None:
        """It was shown."""
        now = time.monotonic()
        if not last and now - self._noted < EVERY:
            return
        self._noted = now
        known = _read()
        known.pop(self._key, None)
        newest = dict([*known.items(), (self._key, step)][-KEPT:])
        try:
            write_atomic(state_dir() / "followed.json", msgspec.json.encode(newest))
        except (OSError, EngineError):
            return


def _read() -> dict[str, int]:
    try:
        return msgspec.json.decode((state_dir() / "followed.json").read_bytes(), type=dict[str, int])
    except (OSError, EngineError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
