"""Find the engine or start one, and come back as its client."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import msgspec

from engine import daemon, paths
from engine.client import LOST, Client, OtherProtocol, greet
from engine.protocol.errors import EngineDead, EngineLost, ErrorInfo
from engine.protocol.wire import OLDER, Welcome
from engine.transports import Link, open_unix, queue_pair

if TYPE_CHECKING:
    from engine.remote.ssh import Line

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
    person: bool = True
    """Whether somebody at this terminal may be asked for a password, say, on the way to a host."""


async def connect(
    target: Target | None = None,
    *,
    workbench: bool = False,
    start: bool = True,
    started: int | None = None,
    line: Line | None = None,
) -> Client:
    """Attach to the engine; `start` starts one when none runs.

    `started`: the parent of an engine that was started a moment ago (`start_engine`) and may not answer yet.
    `line`: the way to the target's host, where it was opened before (`call_host`).

    An engine one protocol older is attached to as such (`Client.older`), but not by a workbench.

    Raises EngineLost when none answers, EngineError when it refuses (an older or newer version, say).
    """
    if target is not None and target.in_process:
        return await _connect_in_process(workbench=workbench)
    if target is not None and target.host:
        return await _connect_there(target, line, workbench=workbench, start=start)
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
                raise EngineDead(did_not_start())
            parent = 0  # another client's engine was first; it answers in a moment
        await asyncio.sleep(0.02)


async def _attach(*, workbench: bool) -> Client:
    async def again() -> Link:
        return await open_unix(paths.socket_path())

    link = await again()
    try:
        welcome = await greet(link, workbench=workbench)
    except OtherProtocol as error:
        link.close()
        if error.protocol != OLDER or workbench:
            raise
        link = await again()
        welcome = await _greet_older(link)
    except BaseException:
        link.close()
        raise
    return Client(link, welcome, autopsy=_autopsy)


async def _greet_older(link: Link) -> Welcome:
    try:
        return await greet(link, workbench=False, protocol=OLDER)
    except BaseException:
        link.close()
        raise


async def _connect_there(target: Target, line: Line | None, *, workbench: bool, start: bool) -> Client:
    """Over ssh. Raises EngineLost with a code of `engine.remote.words`, besides what `connect` raises."""
    from engine.remote.line_link import LineLink  # only where a host is asked for
    from engine.remote.ssh import call

    link = LineLink(line or await call(target.host, person=target.person, start=start))
    try:
        await link.open()
        try:
            welcome = await greet(link, workbench=workbench, host=target.host)
        except OtherProtocol as error:
            if error.protocol != OLDER or workbench:
                raise
            welcome = await greet(link, workbench=False, protocol=OLDER)  # the pump dials again for it
    except EngineLost as error:
        link.close()
        raise (await link.why() if error.info.code == LOST.code else error) from error
    except BaseException:
        link.close()
        raise
    link.keep_alive()
    return Client(link, welcome, autopsy=link.why, host=target.host)


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
    return await asyncio.to_thread(ended, welcome.snapshot.engine.pid)


def ended(pid: int) -> EngineLost:
    """Why the engine of this machine with this pid is out of reach; waits a moment for its end."""
    note = daemon.last_exit(pid) if _dies(pid) else None
    if note is not None and note.again:
        return EngineDead(_restarts(note.sentence()))
    if note is not None:
        return EngineDead(_dead(note.sentence()))
    if not daemon.alive(pid):
        return EngineDead(_dead("The engine is gone"))
    return EngineLost(LOST)


def _dies(pid: int, patience: float = 0.5) -> bool:
    """Whether the process ends now; a socket closes a moment before its process is gone."""
    deadline = time.monotonic() + patience
    while daemon.alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
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


def did_not_start() -> ErrorInfo:
    trouble = daemon.state_trouble()
    if trouble is not None:  # then the log's last line is an old one
        return trouble
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
