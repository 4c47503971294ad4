"""`qwill`: open the workbench."""

from __future__ import annotations

import argparse
import gc
import sys

from engine.api import Target, fault


def run(args: argparse.Namespace) -> int:
    """Open the full screen; raises EngineError `no_terminal` where there is none."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise fault(
            "no_terminal",
            "The workbench needs a terminal",
            "stdin or stdout is a pipe or a file",
            "Ask once with `qwill chat -p TEXT` instead",
        )
    gc.disable()  # until the first paint: what the imports make stays for good
    from tui.app import run as open_workbench
    from tui.cli.loading import model_name

    return open_workbench(Target(in_process=args.in_process), model=args.model and model_name(args.model))
