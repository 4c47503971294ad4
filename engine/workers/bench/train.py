"""One turn of one side of `qwill bench train`: a SideJob from stdin, SideLines to stdout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.bench_training import SideJob, SideLine, Turn
from engine.protocol.errors import fault
from engine.workers.bench.child import answer


def main() -> None:
    """Take the turn."""
    answer(SideJob, SideLine, lambda job, told: SideLine(turn=_take(job, told)))


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
                remedy="Install what the tests need: pip install -e '.[dev]'",
            )
        from engine.workers.bench.train_theirs import take
    return take(job, told)


if __name__ == "__main__":
    main()
