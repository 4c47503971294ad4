"""The `qwill` command: parse, hand over to one small file a sub-command, and turn faults into one line."""

from __future__ import annotations

import argparse
import importlib
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


MODULES = {"eval": "evaluate"}
"""Sub-commands whose module has another name, because theirs is a function of Python's."""


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
    """Each sub-command is a module of its name, imported only when it is asked for."""
    name = MODULES.get(args.command, args.command or "workbench")
    module = importlib.import_module(f"tui.cli.{name}")
    return int(module.run(args))


def _stop_writing() -> None:
    """The reader of a pipe of ours left; nothing more may reach it, not even Python's last flush."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
