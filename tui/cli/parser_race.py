"""The grammar of `qwill race`. Imports nothing slow."""

from __future__ import annotations

import argparse
from typing import Any

from tui.cli.options import add_json, number, text, whole
from tui.cli.parser_train import add_run_flags

ABOUT = """\
Train the same data in several variations, side by side, and stop the losers by their evaluations. What is
varied is one line, such as "method=lora,dora r=8,16 seeds=2" or "lr=1e-4..4e-4/3". All members have the same
budget and hold out the same rows. In the end a table says which setting was best, and what is only noise.
"""
END = """\
actions, with the race's name or nothing for the newest one:
  show GROUP     the table as it stands
  pause GROUP    let every member stand still; one alone: qwill runs pause RUN
  resume GROUP   go on
  stop GROUP     end every member, and keep the adapters

the scorer:
  CMD is run without a shell as `CMD ADAPTER_FOLDER BASE_FOLDER`, with QWILL_ADAPTER, QWILL_BASE and QWILL_RUN
  in its environment; the last word that it prints is the score. It may take ten minutes.

examples:
  qwill race -m demo --data shipped:pirate "method=lora,dora seeds=2" --follow
  qwill race run.toml "r=8,16,32 lr=1e-4..4e-4/3" --keep 0.5 --turns 20
  qwill race run.toml "r=8,16 seeds=3" --queue --scorer "./score.py"
  qwill race show race-1 --md
"""
ACTIONS = ("show", "pause", "resume", "stop")


def add_race_command(commands: Any) -> None:
    """Add `race`; `commands` is what `add_subparsers` returned."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(
        "race", help="train several variations side by side, and compare them", formatter_class=raw
    )
    parser.description, parser.epilog = ABOUT, END
    parser.add_argument(
        "words",
        metavar="RUN.toml|KEY=VALUES|ACTION",
        type=text,
        nargs="+",
        help="a run as a file, what is varied, or an action and the race's name",
    )
    parser.add_argument("--queue", action="store_true", help="one after another, and nobody is stopped")
    parser.add_argument("--turns", metavar="N", type=whole(1), default=0, help="steps of a turn (10)")
    parser.add_argument(
        "--keep",
        metavar="S",
        type=number(0),
        default=0.5,
        help="share of settings that go on after each judgement; 1 stops nobody (0.5)",
    )
    parser.add_argument(
        "--seconds", metavar="N", type=number(0), default=0.0, help="training time of each member (its steps)"
    )
    parser.add_argument(
        "--scorer", metavar="CMD", type=text, default="", help="a command that rates adapters"
    )
    parser.add_argument("--follow", action="store_true", help="tell each evaluation, then show the table")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--md", action="store_true", help="print the table as Markdown")
    form.add_argument("--csv", action="store_true", help="as CSV, with every digit")
    form.add_argument("--latex", action="store_true", help="as a LaTeX tabular")
    add_json(parser, "print JSON, one object a line")
    add_run_flags(parser)
