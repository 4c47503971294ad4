"""`qwill`: open the workbench."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from typing import TYPE_CHECKING

from engine.api import EngineError, fault, lock_holder, start_engine
from tui.cli.options import asked_linear

if TYPE_CHECKING:
    from engine.api import Line


def run(args: argparse.Namespace) -> int:
    """Open the full screen, or talk in plain lines where those are asked for.

    Raises EngineError `no_terminal` where there is none.
    """
    if args.linear or (sys.stdin.isatty() and asked_linear()):
        return _talk(args)
    return open_screen(args)


def open_screen(args: argparse.Namespace, *, tour: bool = False) -> int:
    """Open the full screen; raises EngineError `no_terminal` where there is none."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise fault(
            "no_terminal",
            "The workbench needs a terminal",
            "stdin or stdout is a pipe or a file",
            "Ask once with `qwill chat -p TEXT` instead",
        )
    if args.remote is not None:
        os.environ["QWILL_REMOTE"] = "1" if args.remote else "0"
    from tui import lean  # not before: Textual's settings follow from how the screen is painted

    started = None if args.in_process or args.host else _start_engine()
    gc.disable()  # until the first paint: what the imports make stays for good
    if not args.in_process:
        lean.import_asyncio()
    line = _reach(args.host) if args.host else None
    lean.import_textual()
    from tui.app import run as open_workbench

    model = _model(args.model)
    return open_workbench(
        in_process=args.in_process, model=model, started=started, tour=tour, host=args.host, line=line
    )


def _reach(host: str) -> Line:
    """The line to a host, before the screen opens: ssh may ask for a password, or show a new host key."""
    import asyncio

    from engine.api import call
    from tui.dialling import tell

    tell(host)
    return asyncio.run(call(host, person=True))


def _model(typed: str | None) -> str | None:
    """What the engine should look for, where a model was named."""
    if not typed:
        return None
    from tui.cli.loading import model_name

    return model_name(typed)


def _talk(args: argparse.Namespace) -> int:
    """As `qwill chat` does, with what was given here."""
    from tui.cli import chat
    from tui.cli.parser import build_parser

    words = ["chat", "--linear", *(["-m", args.model] if args.model else [])]
    first = [*(["--in-process"] if args.in_process else []), "--host", args.host]
    wanted = build_parser().parse_args([*first, *words])
    return chat.run(wanted)


def _start_engine() -> int | None:
    """Start it, if none runs, before the screen's imports: both take a while, and side by side less."""
    if lock_holder() is not None:
        return None
    try:
        return start_engine()
    except EngineError:
        return None  # the workbench tries again, and shows what is wrong
