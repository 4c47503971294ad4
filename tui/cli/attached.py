"""A client of the engine for as long as a sub-command needs one."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from engine.api import Client, Target, connect


@asynccontextmanager
async def attached(args: argparse.Namespace) -> AsyncIterator[Client]:
    """Attach, starting an engine where none runs. Raises QwillError when none can be reached."""
    client = await connect(Target(in_process=args.in_process), workbench=False)
    try:
        yield client
    finally:
        await client.close()
