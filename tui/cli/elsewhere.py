"""Which commands are about a machine rather than its engine: with `--host` they run there, by ssh."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from engine.api import fault, run_there

WHOLE = ("doctor", "monitor", "bench")
"""They measure the machine they run on."""
ENGINE = ("start", "stop", "status", "install-unit", "remove-unit")
"""Of `qwill engine`: processes are started and ended where they are."""
VALUED = ("--host", "-m", "--model")
"""Options before the command that take a value."""


def belongs_there(args: argparse.Namespace) -> bool:
    """Whether the whole command runs on the host. Raises EngineError `usage` for what has no sense there."""
    if args.in_process:
        raise fault(
            "usage",
            "--in-process and --host exclude each other",
            "An engine inside this process cannot be on another machine",
            "Leave one of them out",
        )
    if args.command == "engine":
        if args.action == "run":
            raise fault(
                "usage",
                "`qwill engine run` is the engine itself, on this terminal",
                remedy=f"Use `qwill --host {args.host} engine start`, which starts it there and leaves it",
            )
        return args.action in ENGINE
    return args.command in WHOLE or (args.command == "models" and args.action == "catalogue")


def run(args: argparse.Namespace, words: Sequence[str]) -> int:
    """Run it there; returns its exit code. Raises what `run_there` raises."""
    seen = sys.stdin.isatty() and sys.stdout.isatty()
    return run_there(args.host, without_host(words), terminal=seen)


def without_host(words: Sequence[str]) -> list[str]:
    """The command line as it is there: everything but `--host` and what stands after it."""
    kept: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "--host":
            next(rest, None)
        elif word.startswith("--host="):
            continue
        else:
            kept.append(word)
            if word in VALUED:
                kept.extend([value for value in [next(rest, None)] if value is not None])
            elif not word.startswith("-"):
                return [*kept, *rest]
    return kept
