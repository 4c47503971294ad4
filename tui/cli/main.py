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
    _open_streams()
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
    return _run(args, words)


MODULES = {"eval": "evaluate"}
"""Sub-commands whose module has another name, because theirs is a function of Python's."""


def _run(args: argparse.Namespace, words: list[str]) -> int:
    """Run the sub-command; what it raises as a QwillError is said in one line."""
    from engine.api import QwillError
    from tui.cli import output

    output.prepare()
    try:
        return _dispatch(args, words)
    except QwillError as error:
        output.complain(error.info, as_json=args.json)
        return USAGE if error.info.code == "usage" else FAILED


def _dispatch(args: argparse.Namespace, words: list[str]) -> int:
    """Each sub-command is a module of its name, imported only when it is asked for."""
    if args.command == "engine" and args.stdio:
        args.host = ""  # whoever runs this is another machine's client already
    if args.host:
        from tui import hosts
        from tui.cli import elsewhere

        args.host = hosts.resolve(args.host)
        if elsewhere.belongs_there(args):
            return elsewhere.run(args, words)
    name = MODULES.get(args.command, args.command or "workbench")
    module = importlib.import_module(f"tui.cli.{name}")
    return int(module.run(args))


def _open_streams() -> None:
    """What a script has closed is empty, or goes nowhere: no file of ours may come to stand in its place."""
    if None not in (sys.stdin, sys.stdout, sys.stderr):
        return
    while os.open(os.devnull, os.O_RDWR) < 2:
        pass
    sys.stdin = sys.stdin or os.fdopen(0)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


def _stop_writing() -> None:
    """The reader of a pipe of ours left; nothing more may reach it, not even Python's last flush."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
