"""Renders chat templates that nobody vouched for, in a process with limits; engine.chat.sandbox starts it.

Frames on stdin and stdout: one letter, the length as 8 bytes (big endian), UTF-8. In: `Q` with JSON
`{"source", "variables"}`. Out: `S` once started; then `T` the text, `R` refused by the template itself,
`E` any other failure, in words.
"""

from __future__ import annotations

import json
import resource
import sys
from typing import BinaryIO

from jinja2.exceptions import SecurityError

from engine.chat import jinja_env

MEMORY_LIMIT = 512 << 20
"""Bytes of address space."""
CPU_LIMIT = 4
"""Seconds of CPU for one render; the parent kills by the clock, this is for a parent that died."""


def main() -> None:
    """Answer requests until stdin ends."""
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    _limit()
    _send(replies, b"S", "")
    while request := _receive(requests):
        _allow_cpu()
        kind, text = _answer(request)
        _send(replies, kind, text)


def _answer(request: bytes) -> tuple[bytes, str]:
    try:
        job = json.loads(request)
        return b"T", jinja_env.render(job["source"], job["variables"])
    except jinja_env.Refused as error:
        return b"R", str(error)
    except MemoryError:
        return b"E", f"It needs more than {MEMORY_LIMIT >> 20} MiB of memory"
    except jinja_env.OutputTooLong:
        return b"E", f"Its output is longer than {jinja_env.OUTPUT_LIMIT >> 20} MiB"
    except SecurityError as error:
        return b"E", f"It reaches for what a template must not touch: {error}"
    except RecursionError:
        return b"E", "It calls itself without end"
    except Exception as error:  # the process's edge: a template can raise anything
        return b"E", f"{type(error).__name__}: {error}"[:2000]


def _limit() -> None:
    for kind, value in (
        (resource.RLIMIT_AS, MEMORY_LIMIT),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        try:
            resource.setrlimit(kind, (value, value))
        except (ValueError, OSError):
            # macOS refuses some of them; the parent's clock still holds.
            continue


def _allow_cpu() -> None:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(usage.ru_utime + usage.ru_stime) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (spent + CPU_LIMIT, hard))


def _receive(stream: BinaryIO) -> bytes:
    head = stream.read(9)
    return stream.read(int.from_bytes(head[1:])) if len(head) == 9 else b""


def _send(stream: BinaryIO, kind: bytes, text: str) -> None:
    payload = text.encode("utf-8", "surrogatepass")
    stream.write(kind + len(payload).to_bytes(8) + payload)
    stream.flush()


if __name__ == "__main__":
    main()
