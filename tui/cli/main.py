"""The `qwill` command: parse, hand over to one small file a sub-command, and turn faults into one line."""

from __future__ import annotations

import argparse
import os
import sys

from tui.cli.parser import build_parser

DONE, FAILED, USAGE = 0, 1, 2
"""Exit codes; no other is used."""


def main(argv: list[str] | None = None) -> int:
    """Run one command line and return its exit code: 0 done, 1 failed, 2 wrong usage."""
    try:
        code = _parse_and_run(argv)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _stop_writing()
        return FAILED
    except KeyboardInterrupt:
        return FAILED


def _parse_and_run(argv: list[str] | None) -> int:
    try:
        words = sys.argv[1:] if argv is None else argv
        args = build_parser(commands=bool(words)).parse_args(words)  # bare `qwill` opens a little sooner
    except SystemExit as leave:  # argparse's way out of --help, --version and wrong usage
        return leave.code if isinstance(leave.code, int) else DONE
    return _run(args)


def _run(args: argparse.Namespace) -> int:
    """Run the sub-command; what it raises as a QwillError is said in one line."""
    from engine.api import QwillError
    from tui.cli import output

    output.prepare()
    try:
        return _dispatch(args)
    except QwillError as error:
        output.complain(error.info, as_json=args.json)
        return USAGE if error.info.code == "usage" else FAILED


def _dispatch(args: argparse.Namespace) -> int:
    match args.command:
        case "chat":
            from tui.cli import chat

            return chat.run(args)
        case "chats":
            from tui.cli import chats

            return chats.run(args)
        case "tour":
            from tui.cli import tour

            return tour.run(args)
        case "models":
            from tui.cli import models

            return models.run(args)
        case "engine":
            from tui.cli import engine

            return engine.run(args)
        case "train":
            from tui.cli import train

            return train.run(args)
        case "runs":
            from tui.cli import runs

            return runs.run(args)
        case "adapters":
            from tui.cli import adapters

            return adapters.run(args)
        case "data":
            from tui.cli import data

            return data.run(args)
        case "monitor":
            from tui.cli import monitor

            return monitor.run(args)
        case "doctor":
            from tui.cli import doctor

            return doctor.run(args)
        case _:
            from tui.cli import workbench

            return workbench.run(args)


def _stop_writing() -> None:
    """The reader of a pipe of ours left; nothing more may reach it, not even Python's last flush."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
