"""`python -m engine.workers.tracking TRACKER FOLDER [--live SINCE]`: feeds one tracker from one run's log.

With --live it follows the log until a line comes on stdin, which says how the run ended, or stdin is closed.
The last line on stdout is JSON: {"place": ..., "points": N}, or {"error": ...}.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import threading
from pathlib import Path

from engine.runs import log
from engine.workers.tracking.numbers import finished, growing, info_of, numbers
from engine.workers.tracking.targets import TRACKERS


class _Told:
    """Waits for the parent's word in a thread of its own."""

    def __init__(self) -> None:
        self.state = ""
        self._over = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def wait(self, seconds: float) -> bool:
        return self._over.wait(seconds)

    def _listen(self) -> None:
        self.state = sys.stdin.readline().strip()
        self._over.set()


def main() -> int:
    """Exit code: 0 when all was handed over."""
    parser = argparse.ArgumentParser()
    parser.add_argument("tracker", choices=tuple(TRACKERS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--live", metavar="SINCE", type=int, default=None)
    args = parser.parse_args()
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # trackers greet on stdout
    try:
        answer: dict[str, object] = _fed(args)
    except Exception as error:  # the process's edge: any tracker may raise anything
        answer = {"error": f"{type(error).__name__}: {error}"[:500]}
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(answer), file=out, flush=True)
    return 1 if "error" in answer else 0


def _fed(args: argparse.Namespace) -> dict[str, object]:
    info = info_of(args.folder)
    tracker = TRACKERS[args.tracker](args.folder, info, args.live or 0)
    told = _Told() if args.live is not None else None
    points = growing(args.folder / log.NAME, args.live, told) if told else finished(args.folder)
    count = 0
    for point in points:
        found = numbers(point)
        if found:
            tracker.add(point.step, point.at, found)
            count += 1
    tracker.close(told.state if told else info.state)
    return {"place": tracker.place, "points": count}


if __name__ == "__main__":
    sys.exit(main())
