"""A client of the engine for as long as a sub-command needs one."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.api import Client, Target, connect


def target(args: argparse.Namespace) -> Target:
    """Which engine the command line asks for: of this machine, inside this process, or of `--host`."""
    return Target(in_process=args.in_process, host=args.host)


@asynccontextmanager
async def attached(args: argparse.Namespace) -> AsyncIterator[Client]:
    """Attach, starting an engine where none runs. Raises QwillError when none can be reached."""
    client = await connect(target(args), workbench=False)
    try:
        yield client
    finally:
        await client.close()
