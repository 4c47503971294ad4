"""The measuring process's end of `engine.benching.answers`: a job from stdin, lines to stdout."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from engine.protocol.errors import QwillError

J = TypeVar("J")


def answer(job: type[J], line: type[Any], work: Callable[[J, Callable[[str], None]], msgspec.Struct]) -> None:
    """Do one job; `work` may tell words as it goes, and returns the line that ends it.

    What libraries print goes to stderr.
    """
    lines = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=job)

    def write(said: msgspec.Struct) -> None:
        lines.write(msgspec.json.encode(said) + b"\n")

    try:
        write(work(asked, lambda words: write(line(told=words))))
    except QwillError as error:
        write(line(error=error.info))
