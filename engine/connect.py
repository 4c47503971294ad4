"""Find the engine or start one, and come back as its client."""

from __future__ import annotations

import asyncio
import time

import msgspec

from engine import daemon, paths
from engine.client import LOST, Client, greet
from engine.protocol.errors import EngineDead, EngineLost, ErrorInfo
from engine.protocol.wire import Welcome
from engine.transports import open_unix, queue_pair

START_SECONDS = 20.0
"""How long a new engine may take to answer; it binds its socket before it imports torch."""


RESTARTS = "engine_restarts"
"""Code of the error of a link whose engine was killed and is started again by its parent: attach again."""


class Target(msgspec.Struct, frozen=True):
    """Which engine to talk to."""

    in_process: bool = False
    """Run it inside this process; it takes the same lock as one of its own."""
    host: str = ""
    """The machine it runs on, as `ssh` takes it; empty is this one."""


async def connect(
    target: Target | None = None,
    *,
    workbench: bool = False,
    start: bool = True,
    started: int | None = None,
) -> Client:
    """Attach to the engine; `start` starts one when none runs.

    `started`: the parent of an engine that was started a moment ago (`start_engine`) and may not answer yet.

    Raises EngineLost when none answers, EngineError when it refuses (an older or newer version, say).
    """
    if target is not None and target.in_process:
        return await _connect_in_process(workbench=workbench)
    parent = started
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return await _attach(workbench=workbench)
        except (OSError, EngineLost) as error:
            if isinstance(error, EngineLost) and error.info.code != LOST.code:
                raise
        if parent is None:
            if not start and daemon.lock_holder() is None and not daemon.comes_back():
                raise EngineLost(NOT_RUNNING)
            coming = daemon.lock_holder() is not None or daemon.comes_back()
            parent = 0 if coming else daemon.start_engine()
        elif time.monotonic() > deadline or (parent and not daemon.alive(parent)):
            if time.monotonic() > deadline or daemon.lock_holder() is None:
                raise EngineDead(_did_not_start())
            parent = 0  # another client's engine was first; it answers in a moment
        await asyncio.sleep(0.02)


async def _attach(*, workbench: bool) -> Client:
    link = await open_unix(paths.socket_path())
    try:
        welcome = await greet(link, workbench=workbench)
    except BaseException:
        link.close()
        raise
    return Client(link, welcome, autopsy=_autopsy)


async def _connect_in_process(*, workbench: bool) -> Client:
    from engine import engine_env, settings
    from engine.host import Host  # the host is needed only where it runs

    engine_env.apply(settings.engine_settings().env)
    host = Host()
    await host.start()
    ours, theirs = queue_pair()
    host.server.attach(theirs)
    welcome = await greet(ours, workbench=workbench)
    return Client(ours, welcome, autopsy=_autopsy, on_close=host.stop)


async def _autopsy(welcome: Welcome) -> EngineLost:
    """Why a link ended: the engine's process is gone (and how), or only the link broke."""
    pid = welcome.snapshot.engine.pid
    note = await asyncio.to_thread(daemon.last_exit, pid) if await _dies(pid) else None
    if note is not None and note.again:
        return EngineDead(_restarts(note.sentence()))
    if note is not None:
        return EngineDead(_dead(note.sentence()))
    if not daemon.alive(pid):
        return EngineDead(_dead("The engine is gone"))
    return EngineLost(LOST)


async def _dies(pid: int, patience: float = 0.5) -> bool:
    """Whether the process ends now; a socket closes a moment before its process is gone."""
    deadline = time.monotonic() + patience
    while daemon.alive(pid):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


def _restarts(title: str) -> ErrorInfo:
    return ErrorInfo(RESTARTS, title, "Everything shown is kept", retryable=True)


def _dead(title: str) -> ErrorInfo:
    return ErrorInfo(
        "engine_dead",
        title,
        "Everything shown is kept",
        "Run `qwill` again, which starts another",
        retryable=True,
    )


NOT_RUNNING = ErrorInfo(
    "engine_not_running", "No engine is running", remedy="Start one with `qwill` or `qwill engine start`"
)


def _did_not_start() -> ErrorInfo:
    lines = _log_tail()
    return ErrorInfo(
        "engine_did_not_start",
        "The engine did not start",
        lines[-1] if lines else "it left no word in its log",
        f"See {paths.log_path()}",
        retryable=True,
    )


def _log_tail() -> list[str]:
    try:
        text = paths.log_path().read_text(encoding="utf-8", errors="replace")[-4000:]
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()]
