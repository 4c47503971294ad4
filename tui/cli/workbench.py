"""`qwill`: open the workbench."""

from __future__ import annotations

import argparse
import gc
import sys

from engine.api import EngineError, fault, lock_holder, start_engine


def run(args: argparse.Namespace) -> int:
    """Open the full screen; raises EngineError `no_terminal` where there is none."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise fault(
            "no_terminal",
            "The workbench needs a terminal",
            "stdin or stdout is a pipe or a file",
            "Ask once with `qwill chat -p TEXT` instead",
        )
    started = None if args.in_process else _start_engine()
    gc.disable()  # until the first paint: what the imports make stays for good
    from tui.app import run as open_workbench
    from tui.cli.loading import model_name

    model = args.model and model_name(args.model)
    return open_workbench(in_process=args.in_process, model=model, started=started)


def _start_engine() -> int | None:
    """Start it, if none runs, before the screen's imports: both take a while, and side by side less."""
    if lock_holder() is not None:
        return None
    try:
        return start_engine()
    except EngineError:
        return None  # the workbench tries again, and shows what is wrong
