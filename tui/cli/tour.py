"""`qwill tour`: open the workbench on the demo model with six steps to try."""

from __future__ import annotations

import argparse

from tui.cli import workbench


def run(args: argparse.Namespace) -> int:
    """Open the full screen; raises EngineError `no_terminal` where there is none."""
    args.model = args.model or "demo"
    return workbench.open_screen(args, tour=True)
