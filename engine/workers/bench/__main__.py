"""Reads a BenchJob from stdin and writes BenchLines to stdout; engine.benching starts it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import BinaryIO

import msgspec

from engine.benching import BenchJob, BenchLine, DecodeBench, QualityBench, TtftBench
from engine.protocol.errors import QwillError


def main() -> None:
    """Measure once. What libraries print goes to stderr."""
    lines = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=BenchJob)

    def told(words: str) -> None:
        _write(lines, BenchLine(told=words))

    try:
        result = _measure(job, told)
    except QwillError as error:
        _write(lines, BenchLine(error=error.info))
        return
    if isinstance(result, DecodeBench):
        _write(lines, BenchLine(decode=result))
    elif isinstance(result, QualityBench):
        _write(lines, BenchLine(quality=result))
    else:
        _write(lines, BenchLine(ttft=result))


def _measure(job: BenchJob, told: Callable[[str], None]) -> DecodeBench | TtftBench | QualityBench:
    told("importing torch and transformers")
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if job.kind == "ttft":
        from engine.workers.bench.ttft import measure_ttft

        return measure_ttft(job, told)
    if job.kind == "quality":
        from engine.workers.bench.quality import measure_quality

        return measure_quality(job, told)
    from engine.workers.bench.decode import measure_decode

    return measure_decode(job, told)


def _write(lines: BinaryIO, line: BenchLine) -> None:
    lines.write(msgspec.json.encode(line) + b"\n")


if __name__ == "__main__":
    main()
