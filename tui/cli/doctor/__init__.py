"""`qwill doctor`: what Qwill needs of this machine, whether it is there, and what to do where it is not."""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter

from tui.cli import machine_samples, output
from tui.cli.doctor.devices import check_devices
from tui.cli.doctor.engine_state import check_engine
from tui.cli.doctor.finding import MARKS, Finding
from tui.cli.doctor.logout import check_logout
from tui.cli.doctor.memory import check_memory, dump, print_numbers, recalibrate
from tui.cli.doctor.packages import check_packages
from tui.cli.doctor.places import check_places
from tui.cli.doctor.screen import check_screen
from tui.cli.doctor.settings import check_settings
from tui.cli.doctor.terminal import check_terminal
from tui.format import plural


def run(args: argparse.Namespace) -> int:
    """Print every finding; 1 when one is a problem."""
    tried = recalibrate() if args.calibrate else []
    sample, _ = asyncio.run(machine_samples.one())
    state, info = check_engine()
    places = [*check_places(), *check_settings()]
    devices = [*check_devices(info), *tried, *check_memory(sample)]
    around = [*check_logout(), *check_terminal(), *check_screen()]
    found = [*check_packages(), *state, *devices, *places, *around]
    counts = Counter(finding.level for finding in found)
    if args.json:
        findings = [output.plain(finding) for finding in found]
        output.say_json({"ok": not counts["problem"], "findings": findings, "numbers": dump(sample)})
    else:
        _print(found)
        if args.numbers:
            print_numbers(sample)
        summary = (
            f"{plural(counts['problem'], 'problem')}, {plural(counts['note'], 'note')}, {counts['ok']} ok."
        )
        output.say(summary)
    return 1 if counts["problem"] else 0


def _print(found: list[Finding]) -> None:
    area = ""
    for finding in found:
        if finding.area != area:
            area = finding.area
            output.say(area)
        print(f"  {MARKS[finding.level]:<8}{output.line(finding.what)}")
        if finding.do:
            print(f"          {output.line(finding.do)}")
