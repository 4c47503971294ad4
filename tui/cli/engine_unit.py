"""`qwill engine install-unit` and `remove-unit`: the engine after a reboot."""

from __future__ import annotations

import argparse

from engine.api import UnitChange, install_unit, remove_unit
from tui.cli import output


def run(args: argparse.Namespace) -> int:
    """Do it, or say what would be done. Raises EngineError where it cannot be."""
    change = (install_unit if args.action == "install-unit" else remove_unit)(dry_run=args.dry_run)
    if args.json:
        output.say_json(output.plain(change) | {"dry_run": args.dry_run})
    elif args.action == "install-unit":
        _installed(change, dry_run=args.dry_run)
    else:
        _removed(change, dry_run=args.dry_run)
    return 0


def _installed(change: UnitChange, *, dry_run: bool) -> None:
    if dry_run:
        output.say(f"Would write {change.path}:")
        for each in change.text.splitlines():
            print(f"    {output.line(each)}")
    else:
        output.say(f"{change.path} is written: the engine starts with your systemd.")
    _commands(change, dry_run=dry_run)
    if change.remedy:
        output.say(f"{change.remedy}.")


def _removed(change: UnitChange, *, dry_run: bool) -> None:
    if change.done:
        output.say(f"{change.path} is gone; an engine that runs goes on.")
    elif dry_run and change.found:
        output.say(f"Would delete {change.path}.")
    else:
        output.say(f"There is no {change.path}.")
    _commands(change, dry_run=dry_run)


def _commands(change: UnitChange, *, dry_run: bool) -> None:
    for command in change.commands:
        output.say(f"{'Would run' if dry_run else 'Ran'} `{command}`.")
