"""Reads a BenchJob from stdin and writes BenchLines to stdout; engine.benching starts it."""

from __future__ import annotations

from collections.abc import Callable

from engine.benching import BenchJob, BenchLine
from engine.workers.bench.child import answer


def main() -> None:
    """Measure once."""
    answer(BenchJob, BenchLine, _measure)


def _measure(job: BenchJob, told: Callable[[str], None]) -> BenchLine:
    told("importing torch and transformers")
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if job.kind == "ttft":
        from engine.workers.bench.ttft import measure_ttft

        return BenchLine(ttft=measure_ttft(job, told))
    if job.kind == "quality":
        from engine.workers.bench.quality import measure_quality

        return BenchLine(quality=measure_quality(job, told))
    from engine.workers.bench.decode import measure_decode

    return BenchLine(decode=measure_decode(job, told))


if __name__ == "__main__":
    main()
