"""The parent's side of render_child: one child kept between renders, killed when it is slow or misbehaves."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

from engine.chat.jinja_env import OUTPUT_LIMIT, Refused
from engine.protocol.errors import EngineError, fault

RENDER_LIMIT = 2.0
"""Seconds of one render."""
START_LIMIT = 20.0
"""Seconds until the child is up; a busy machine may take its time."""
_HEAD = 9
_REMEDY = "Choose another model, or one with a plain chat template"
_ROOT = Path(__file__).resolve().parents[2]


class RenderChild:
    """A child process that renders; starts with the first render and again after a fault. Thread-safe."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def render(self, source: str, variables: dict[str, Any]) -> str:
        """The rendered prompt. Raises Refused, or EngineError `template_failed`."""
        job = json.dumps({"source": source, "variables": variables}).encode()
        with self._lock:
            process = self._ready()
            try:
                kind, text = _exchange(process, b"Q" + len(job).to_bytes(8) + job, RENDER_LIMIT)
            except TimeoutError:
                self._kill()
                raise template_failed(f"It ran longer than {RENDER_LIMIT:.0f} seconds") from None
            except (OSError, EOFError):
                self._kill()
                raise template_failed("It brought its process down") from None
            if kind not in b"TR":
                self._kill()
        if kind == b"T":
            return text
        raise Refused(text) if kind == b"R" else template_failed(text)

    def close(self) -> None:
        """End the child; the next render starts another."""
        with self._lock:
            self._kill()

    def _ready(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._kill()
        self._process = process = _start()
        try:
            _exchange(process, b"", START_LIMIT)
        except (TimeoutError, OSError, EOFError):
            self._kill()
            raise template_failed("The process that renders templates did not start") from None
        return process

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    # A dead child's pipe may refuse what was still to be written.
                    continue


def template_failed(detail: str) -> EngineError:
    """The fault of a template that could not be rendered."""
    return fault("template_failed", "The model's chat template could not be rendered", detail, _REMEDY)


def _start() -> subprocess.Popen[bytes]:
    environment = {"PYTHONPATH": str(_ROOT), "PATH": os.environ.get("PATH", os.defpath)}
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "engine.chat.render_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            bufsize=0,
            start_new_session=True,
        )
    except OSError as error:
        raise template_failed(f"No process could be started for it: {error.strerror}") from error
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        os.set_blocking(stream.fileno(), False)
    return process


def _exchange(process: subprocess.Popen[bytes], request: bytes, limit: float) -> tuple[bytes, str]:
    """Write a request, read one frame. Raises TimeoutError, EOFError (the child ended), OSError."""
    assert process.stdin is not None
    assert process.stdout is not None
    deadline = time.monotonic() + limit
    waiting = memoryview(request)
    answer = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if waiting:
            selector.register(process.stdin, selectors.EVENT_WRITE)
        while not _complete(answer):
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                if key.fileobj is process.stdout:
                    answer += _read(process.stdout)
                else:
                    waiting = waiting[os.write(process.stdin.fileno(), waiting[: 1 << 16]) :]
                    if not waiting:
                        selector.unregister(process.stdin)
    return bytes(answer[:1]), answer[_HEAD:].decode("utf-8", "surrogatepass")


def _read(stream: IO[bytes]) -> bytes:
    chunk = os.read(stream.fileno(), 1 << 16)
    if not chunk:
        raise EOFError
    return chunk


def _complete(answer: bytearray) -> bool:
    if len(answer) < _HEAD:
        return False
    length = int.from_bytes(answer[1:_HEAD])
    if length > 4 * OUTPUT_LIMIT:  # UTF-8 takes up to four bytes a character
        raise EOFError
    return len(answer) >= _HEAD + length


shared = RenderChild()
"""The engine's one child."""
