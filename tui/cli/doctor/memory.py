"""The pools of memory, what could be better about them, and every number with where it comes from."""

from __future__ import annotations

import sys
from typing import Any

from engine.api import Advice, Calibration, advice_here, calibrate, memory, numbers, specs
from tui.cli import output
from tui.cli.doctor.finding import Finding
from tui.format import size

AREA = "Memory"
HEADER = ("number", "value", "unit", "from")


def check_memory(sample: specs.MonitorSample) -> list[Finding]:
    """Each pool, the main one first, then advice on them."""
    found = [Finding(AREA, "ok", told(pool)) for pool in sample.pools]
    return found + [advised(each) for each in advice_here(sample)]


def told(pool: memory.Pool) -> str:
    """One pool in a line."""
    whose = f"{pool.gpu}: " if pool.gpu else ""
    used = f"{size(pool.used)} of " if pool.used is not None else ""
    total = "its size is not told" if pool.total is None else size(pool.total)
    parts = [f"{whose}{pool.name}: {used}{total}{' used' if used else ''}"]
    if pool.main:
        grow = f", Qwill can grow to {size(pool.ceiling)}" if pool.ceiling is not None else ""
        parts.append(f"models are computed here ({pool.basis}){grow}")
    return "; ".join(parts) + (f". {pool.why}" if pool.why else "")


def advised(each: Advice) -> Finding:
    """What is only good to know is fine as it is."""
    return Finding(AREA, "note" if each.do else "ok", each.what, each.do)


def recalibrate() -> list[Finding]:
    """Try the devices anew, and remember it; says on stderr what it is at."""
    tried = calibrate(tell=_tell)
    return [shown(each) for each in tried]


def shown(trial: Calibration) -> Finding:
    """What one trial showed."""
    who = f"{trial.gpu} ({trial.device})" if trial.gpu else trial.device
    if not trial.usable:
        return Finding(AREA, "note", f"{who} was tried. {trial.why}", trial.remedy)
    if trial.kind is None:
        return Finding(AREA, "note", f"{who} was tried. {trial.why}")
    where = {"ram": "RAM", "gtt": "RAM lent to the GPU (GTT)", "vram": "VRAM", "unified": "unified memory"}
    return Finding(AREA, "ok", f"{who} was tried: {size(trial.moved)} more were used of {where[trial.kind]}")


def dump(sample: specs.MonitorSample) -> list[dict[str, Any]]:
    """Every number as plain data, without names of people, serial numbers and ids of containers."""
    return [number._asdict() for number in numbers(sample)]


def print_numbers(sample: specs.MonitorSample) -> None:
    """As a table; where a number is unknown, the reason stands behind its source."""
    lines = []
    for number in numbers(sample):
        value = "-" if number.value is None else f"{number.value:.15g}"
        source = f"{number.source} ({number.why})" if number.why else number.source
        lines.append((number.name, value, number.unit, source))
    output.say(AREA + ", every number")
    output.table([HEADER, *lines], right=(1,))


def _tell(device: str) -> None:
    print(f"Trying {output.line(device)}: it holds 256 MiB for a moment, at most 60 s …", file=sys.stderr)
