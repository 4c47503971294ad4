"""The grammar of `hosts`, `setup`, `runs attach` and `runs pull`. Imports nothing slow."""

from __future__ import annotations

import argparse
from typing import Any

from tui.cli.options import add_json, text

SETUP = """\
Install Qwill on the host that --host names, in a virtual environment of its own: a wheel of this very version
goes there over ssh, and pip does the rest. Where Python there has torch, that torch is used. Repeat it at
will: what is there already stays, and a new version takes the place of the old one once it answers.
"""


def add_remote_commands(commands: Any) -> None:
    """Add them to the top level's; `commands` is what `add_subparsers` returned."""
    _add_hosts(commands.add_parser("hosts", help="name the machines whose engines you work on"))
    _add_setup(commands.add_parser("setup", help="with --host: install Qwill there"))


def add_run_actions(actions: Any) -> None:
    """Add `attach` and `pull` to those of `runs`."""
    attach = actions.add_parser("attach", help="follow a run again, on from what was shown here before")
    attach.description = (
        "Exit codes and --json are those of `follow`. Ctrl+C leaves the run alone. A line to a host that "
        "drops is taken up again by itself."
    )
    attach.add_argument(
        "run", metavar="RUN", type=text, nargs="?", default="", help="the one under way otherwise"
    )
    attach.add_argument("--all", action="store_true", help="show every step, those shown before too")
    add_json(attach)
    pull = actions.add_parser("pull", help="bring a run of a host here: its curve and what it made")
    pull.description = (
        "With --host BOX: the run becomes one of this machine's, and its adapter answers here where its base "
        "is here. Every file is verified by its SHA-256; a pull that was cut goes on where it stopped."
    )
    pull.add_argument("run", metavar="RUN", type=text, help="id, number, name, or the start of one")
    pull.add_argument(
        "-o", "--output", metavar="DIR", type=text, default="", help="only copy its files to DIR"
    )
    add_json(pull)


def _add_hosts(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Names for --host, kept in hosts.toml of the config folder. How to get there is for ssh to know: "
        "ports, keys and jump hosts belong into ~/.ssh/config."
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", title="actions", required=True)
    add = actions.add_parser("add", help="name a machine")
    listing = actions.add_parser("list", help="those that have a name")
    remove = actions.add_parser("remove", help="forget one; nothing on it is touched")
    for action in (add, remove):
        action.add_argument("name", metavar="NAME", type=text)
    add.add_argument("address", metavar="ADDRESS", type=text, help="as for ssh: box, user@box")
    listing.add_argument("--check", action="store_true", help="see whether they answer")
    for action in (add, listing, remove):
        add_json(action)


def _add_setup(parser: argparse.ArgumentParser) -> None:
    parser.description = SETUP
    parser.add_argument(
        "--python", metavar="PATH", type=text, default="", help="the Python there to build on"
    )
    parser.add_argument(
        "--torch",
        choices=("cpu", "cuda", "rocm"),
        default="",
        help="the build, where torch has to be installed",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what it would do, and change nothing")
    add_json(parser)
