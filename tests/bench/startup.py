"""How fast it opens: `qwill --help`, the first full paint beside a bare Textual app's, the demo model ready.

Run by `make bench`. Absolute times belong to one machine; the ratio to the bare app travels.
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.pty_app import QWILL, ROOT, PtyApp

RUNS = 10
STARTS = 5
HELP_LIMIT, PAINT_LIMIT, READY_LIMIT = 0.2, 0.4, 3.0
"""Seconds on a 2-core machine, warm."""
BARE = """
from textual.app import App
from textual.widgets import Static
class Bare(App):
    def compose(self):
        yield Static("bare")
Bare().run()
"""
HEAVY = ("torch", "transformers", "numpy")


def main() -> int:
    """Print the table; returns 0 whatever the numbers are."""
    with tempfile.TemporaryDirectory(prefix="qw-") as folder:
        environment = _private(Path(folder))
        helped = [_help(environment) for _ in range(RUNS)]
        subprocess.run(
            [*QWILL, "engine", "start"], env=environment, cwd=ROOT, check=True, capture_output=True
        )
        _settle(environment)
        try:
            painted = asyncio.run(_paints(QWILL, environment, _full))
        finally:
            subprocess.run(
                [*QWILL, "engine", "stop"], env=environment, cwd=ROOT, check=True, capture_output=True
            )
        bare = asyncio.run(
            _paints([sys.executable, "-c", BARE], environment, lambda lines: "bare" in lines[0])
        )
        ready = [asyncio.run(_ready(environment)) for _ in range(STARTS)]
    rows = [
        ("qwill --help", helped, HELP_LIMIT),
        ("first full paint", painted, PAINT_LIMIT),
        ("bare Textual app", bare, None),
        ("demo model ready", ready, READY_LIMIT),
    ]
    print(f"{'what':<18}{'min':>9}{'median':>9}{'contract':>10}")
    for name, times, limit in rows:
        contract = f"{limit:.1f} s" if limit else "-"
        print(f"{name:<18}{min(times):>7.3f} s{statistics.median(times):>7.3f} s{contract:>10}")
    print(f"first paint / bare app: {statistics.median(painted) / statistics.median(bare):.2f} (median)")
    print(f"imported by tui.app of {', '.join(HEAVY)}: {_heavy(environment) or 'none'}")
    return 0


def _private(folder: Path) -> dict[str, str]:
    folders = {
        f"XDG_{name}_HOME": str(folder / name.lower()) for name in ("STATE", "DATA", "CONFIG", "CACHE")
    }
    warm = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {
        **warm,
        **folders,
        "HOME": str(folder),
        "HF_HOME": str(folder / "hf"),
        "HF_HUB_OFFLINE": "1",
    }


def _settle(environment: dict[str, str]) -> None:
    """Wait until the engine has its imports behind it: warm is a machine with nothing else to do."""
    while True:
        asked = [*QWILL, "engine", "status", "--json"]
        told = subprocess.run(asked, env=environment, cwd=ROOT, check=True, capture_output=True)
        if b'"torch":"loading"' not in told.stdout.replace(b" ", b""):
            return
        time.sleep(0.2)


def _help(environment: dict[str, str]) -> float:
    began = time.monotonic()
    subprocess.run([*QWILL, "--help"], env=environment, cwd=ROOT, check=True, capture_output=True)
    return time.monotonic() - began


async def _paints(
    argv: list[str], environment: dict[str, str], full: Callable[[list[str]], bool]
) -> list[float]:
    """Seconds from exec until the screen is full, in a pty of 120x40, each in a new process."""
    times = []
    for _ in range(RUNS):
        with PtyApp(argv, environment) as app:
            times += await app.stamps(full)
    return times


async def _ready(environment: dict[str, str]) -> float:
    """Seconds from the first full paint until the demo can answer, where no engine ran before."""
    with PtyApp(QWILL, environment) as app:
        first, ready = await app.stamps(_full, _is_ready, seconds=8.0)
    subprocess.run([*QWILL, "engine", "stop"], env=environment, cwd=ROOT, check=True, capture_output=True)
    return ready - first


def _full(lines: list[str]) -> bool:
    return "Enter send" in lines[-1]


def _is_ready(lines: list[str]) -> bool:
    return re.match(r" *Qwill +demo +(thinking|does)", lines[0]) is not None


def _heavy(environment: dict[str, str]) -> str:
    code = f"import sys, tui.app; print(*(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, check=True, capture_output=True
    )
    return done.stdout.decode().strip()


if __name__ == "__main__":
    sys.exit(main())
