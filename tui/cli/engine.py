"""`qwill engine`: start, stop and look at the engine process."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

from engine.api import EngineLost, commands, connect, fault, lock_holder, log_path, specs, stop_engine
from tui.cli import output
from tui.format import seconds, size


def run(args: argparse.Namespace) -> int:
    """Do one action; `status` returns 1 when no engine runs."""
    if args.stdio:
        return _pump(args)
    match args.action:
        case "start":
            return asyncio.run(_start(args))
        case "stop" if args.when_idle:
            return asyncio.run(_leave_when_idle(args))
        case "stop":
            stopped = stop_engine()
            _say({"stopped": stopped}, "The engine has ended." if stopped else "No engine was running.", args)
            return 0
        case "status":
            return asyncio.run(_status(args))
        case "install-unit" | "remove-unit":
            from tui.cli import engine_unit

            return engine_unit.run(args)
        case "run":
            return _become_engine()
        case _:
            raise fault("usage", "An action is missing", remedy="Run `qwill engine --help` to see them")


async def _start(args: argparse.Namespace) -> int:
    """Start one unless it runs, and wait until it answers."""
    running = lock_holder() is not None
    client = await connect()
    pid = client.welcome.snapshot.engine.pid
    await client.close()
    words = (
        f"The engine is already running (process {pid})." if running else f"The engine runs (process {pid})."
    )
    _say({"pid": pid, "started": not running}, words, args)
    return 0


async def _leave_when_idle(args: argparse.Namespace) -> int:
    client = await connect(start=False)
    await client.request(commands.Shutdown(when_idle=True))
    await client.close()
    _say({"stopped": False}, "The engine ends as soon as nothing is under way.", args)
    return 0


async def _status(args: argparse.Namespace) -> int:
    try:
        client = await connect(start=False)
    except EngineLost as error:
        if error.info.code != "engine_not_running":
            raise
        _say({"running": False}, f"No engine is running. {error.info.remedy}.", args)
        return 1
    await client.close()
    snapshot = client.welcome.snapshot
    if args.json:
        output.say_json(_facts(snapshot))
    else:
        output.table(_rows(snapshot))
    return 0


def _facts(snapshot: specs.Snapshot) -> dict[str, Any]:
    return {
        "running": True,
        **output.plain(snapshot.engine),
        "models": [model.id for model in snapshot.models if model.state == "ready"],
        "replies": len(snapshot.live),
        "serving": output.plain(snapshot.serving),
        "memory": snapshot.monitor.engine_rss if snapshot.monitor else None,
        "log": str(log_path()),
    }


def _rows(snapshot: specs.Snapshot) -> list[tuple[str, str]]:
    engine = snapshot.engine
    held = [f"{m.id} ({size(m.memory)})" for m in snapshot.models if m.state == "ready"]
    rows = [
        ("engine", f"running (process {engine.pid}, version {engine.version})"),
        ("since", seconds(max(0.0, time.time() - engine.started))),
        ("torch", engine.torch),
        ("models", ", ".join(held) or "none loaded"),
        ("replies", f"{len(snapshot.live)} under way" if snapshot.live else "none under way"),
    ]
    if snapshot.serving:
        rows.append(("serving", snapshot.serving.address))
    if snapshot.monitor:
        rows.append(("memory", size(snapshot.monitor.engine_rss)))
    return [*rows, ("log", str(log_path()))]


def _become_engine() -> int:
    """Turn this process into the engine, its output on this terminal; only what starts engines needs it."""
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    # -P: a folder named "engine" where the user stands must not be imported instead of ours.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "engine.daemon", "run"])


def _pump(args: argparse.Namespace) -> int:
    """Carry bytes between ssh and the engine."""
    from engine.api import pump_stdio

    if sys.stdin.isatty():
        raise fault(
            "usage",
            "`qwill engine --stdio` is what ssh runs on a host; it says nothing to a person",
            remedy="Run `qwill --host BOX` on your own machine",
        )
    return pump_stdio(start=not args.no_start)


def _say(facts: dict[str, Any], words: str, args: argparse.Namespace) -> None:
    if args.json:
        output.say_json(facts)
    else:
        output.say(words)
