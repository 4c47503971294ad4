"""One turn of one side of `qwill bench train`: a SideJob from stdin, SideLines to stdout."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import msgspec

from engine.bench_training import SideJob, SideLine, Turn
from engine.protocol.errors import QwillError, fault


def main() -> None:
    """Take the turn. What libraries print goes to stderr."""
    lines = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=SideJob)

    def told(words: str) -> None:
        _write(lines, SideLine(told=words))

    try:
        _write(lines, SideLine(turn=_take(job, told)))
    except QwillError as error:
        _write(lines, SideLine(error=error.info))


def _take(job: SideJob, told: Callable[[str], None]) -> Turn:
    if job.build:
        from engine.workers.bench.train_model import build

        build(Path(job.folder) / "model")
        return Turn([], [], [], 0, 0, 0, 0, "", {})
    if job.side == "ours":
        from engine.workers.bench.train_ours import take
    else:
        from importlib.util import find_spec

        if find_spec("trl") is None:
            raise fault(
                "trl_missing",
                "TRL is not installed, and it is what our steps are measured against",
                remedy="Install the test extra: pip install -e '.[test]'",
            )
        from engine.workers.bench.train_theirs import take
    return take(job, told)


def _write(lines: BinaryIO, line: SideLine) -> None:
    lines.write(msgspec.json.encode(line) + b"\n")


if __name__ == "__main__":
    main()
