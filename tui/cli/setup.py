"""`qwill --host BOX setup`: install Qwill on another machine."""

from __future__ import annotations

import argparse
import sys
import time

from engine.api import Outcome, Told, Wish, fault, setup_host
from tui.cli import output
from tui.cli.progress_line import show
from tui.format import seconds, size
from tui.hosts import called


def run(args: argparse.Namespace) -> int:
    """0: it answers there; with --dry-run: it could be done."""
    if not args.host:
        raise fault(
            "usage", "It does not say where", remedy="Name the machine: `qwill --host user@box setup`"
        )
    teller = Teller(args)
    wish = Wish(args.python, args.torch, args.dry_run)
    try:
        outcome = setup_host(args.host, wish, teller.told, teller.planned)
    finally:
        show("")
    if args.json:
        output.say_json({"host": args.host, "dry_run": args.dry_run, **output.plain(outcome)})
    elif args.dry_run:
        output.say("Nothing was changed. Leave --dry-run out to do it.")
    else:
        _say(outcome, args.host)
    return 0


def _say(outcome: Outcome, host: str) -> None:
    was = "was there already" if outcome.again else "is installed"
    output.say(f"Qwill {outcome.version} {was} on {called(host)}, with torch {outcome.torch}.")
    if outcome.linked:
        output.say(f"There it is also {outcome.linked}.")
    output.say(f"Open it: qwill --host {called(host)}")
    stop = f"qwill --host {called(host)} engine stop --when-idle"
    output.say(f"An engine that runs there already goes on as it is; `{stop}` ends it once it is idle.")


class Teller:
    """Steps as lines, what happens in them as one line that is written over; nothing of it with --json."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._json = args.json
        self._dry = args.dry_run
        self._steps: tuple[str, ...] = ()
        self._at = 0
        self._begun = time.monotonic()

    def planned(self, outcome: Outcome) -> None:
        """The steps, before the first is done."""
        self._steps = outcome.steps
        if self._dry and not self._json:
            for number, each in enumerate(self._steps, 1):
                output.say(f"{number}. {each}")

    def told(self, told: Told) -> None:
        """One word from there."""
        if self._json or self._dry:
            return
        if told.step and told.step != self._at:
            show("")
            self._at = told.step
            self._begun = time.monotonic()
            words = self._steps[told.step - 1] if told.step <= len(self._steps) else ""
            print(output.line(f"{told.step}/{len(self._steps)} {words}"), file=sys.stderr, flush=True)
        elif told.total:
            show(f"sending · {size(told.sent)} of {size(told.total)}")
        elif told.line:
            show(f"{seconds(time.monotonic() - self._begun)} · {told.line[:100]}")
