"""The parent's side of engine.llama.child: started, watched while it loads, ended for certain."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import select
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

import psutil

from engine.llama.wire import Wire
from engine.protocol.errors import EngineError, fault

TICK = 0.05
END_SECONDS = 2.0
"""Until a child that was asked to end is killed."""
LOG_BYTES = 1 << 16
"""Of the end of a child's log that is looked through for the reason of a failure."""
CACHE_MIB = 512
"""Of memory for the prompts of chats beside the one in use."""
BATCH = 512
SMALL = 30_000_000
"""Parameters below which one thread is the fastest."""
_ROOT = Path(__file__).resolve().parents[2]
_REASON = re.compile(r"error loading model(?: \w+)?: (.+)|llama_init_from_model: (failed .+)")
_STAMP = re.compile(r"\d+\.\d+\.\d+\.\d+ E \S+ +")
_MEMORY = ("unable to allocate", "failed to allocate", "out of memory", "std::bad_alloc", "cannot allocate")
Progress = Callable[[float, str], None]


class LlamaProcess:
    """One model in one child process."""

    def __init__(self, file: Path, name: str, context: int, parameters: int) -> None:
        """Starts the child, which begins to load. `context`: tokens of its cache."""
        self.context = context
        self.device = "cpu"
        self._name = name
        self._folder = Path(tempfile.mkdtemp(prefix="qwill-"))
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        socket, key = str(self._folder / "s.sock"), secrets.token_hex(32)
        self.wire = Wire(socket, key)
        order = {
            "path": str(file),
            "context": context,
            "batch": min(BATCH, context),
            "threads": threads(parameters),
            "cache_mib": CACHE_MIB,
            "socket": socket,
            "key": key,
        }
        try:
            self._process = self._start()
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            self._tidy()
            raise self._failed(error.strerror or "") from error

    def wait(self, size: int, progress: Progress, cancelled: threading.Event) -> None:
        """Return once it is ready; ended where it does not get there. `size`: bytes of the weights.

        Raises EngineError `cancelled`, `out_of_memory`, `load_failed`.
        """
        try:
            self._wait(size, progress, cancelled)
        except BaseException:
            self.close()
            raise

    def _wait(self, size: int, progress: Progress, cancelled: threading.Event) -> None:
        answers = self._process.stdout
        assert answers is not None
        while not select.select([answers], [], [], TICK)[0]:
            if cancelled.is_set():
                raise fault("cancelled", f"Loading {self._name} was cancelled")
            share = min(0.99, self.memory() / max(1, size))
            progress(share, "reading the weights" if share < 0.99 else "warming up")
        line = answers.readline()
        if b"ready" not in line:
            raise self._refused(line)
        self.device = str(json.loads(line).get("device") or "cpu")
        if cancelled.is_set():
            raise fault("cancelled", f"Loading {self._name} was cancelled")

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def memory(self) -> int:
        """Bytes of memory that the child has resident, pages of the file included."""
        try:
            return int(psutil.Process(self._process.pid).memory_info().rss)
        except psutil.Error:
            return 0

    def close(self) -> None:
        """End the child, and wait until its memory is free."""
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        # It holds nothing that could be lost, and a load cannot be asked to end.
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._tidy()

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {
            # Threads that spin while they wait make a busy machine many times slower (docs/performance.md).
            "OMP_WAIT_POLICY": "PASSIVE",
            **os.environ,
            "PYTHONPATH": str(_ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "engine.llama.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            start_new_session=True,
        )

    def _refused(self, line: bytes) -> EngineError:
        """Why the load failed, out of the child's log."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)
        log = _tail(self._log)
        if "No module named 'xllamacpp'" in log + line.decode("utf-8", "replace"):
            return fault(
                "llama_missing",
                "GGUF files need llama.cpp, which is not installed",
                remedy="Install it with `pip install 'qwill[gguf]'`, then restart the engine",
            )
        if any(word in log.lower() for word in _MEMORY) or self._process.returncode == -9:
            return fault(
                "out_of_memory",
                f"There is not enough memory to load {self._name}",
                _reason(log),
                "Close other programs, choose a smaller quantisation, or lower the context (F10)",
            )
        reason = _reason(log)
        if not reason and self._process.returncode not in (0, 3):
            reason = "llama.cpp crashed on this file; the engine and its chats are untouched"
        return self._failed(reason)

    def _failed(self, reason: str) -> EngineError:
        remedy = "Choose another copy of this model"
        if "architecture" in reason:
            remedy = "Update llama.cpp with `pip install -U xllamacpp`, or choose another model"
        return fault("load_failed", f"{self._name} cannot be loaded", reason, remedy)

    def _tidy(self) -> None:
        self._log.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def threads(parameters: int) -> int:
    """Physical cores that this process may use: more only makes llama.cpp's threads wait for each other.

    One for a small model, whose steps are shorter than the waiting.
    """
    if 0 < parameters < SMALL:
        return 1
    cores = psutil.cpu_count(logical=False) or 1
    allowed = len(os.sched_getaffinity(0)) if sys.platform == "linux" else cores
    return max(1, min(cores, allowed))


def _tail(log: IO[bytes]) -> str:
    end = log.seek(0, os.SEEK_END)
    log.seek(max(0, end - LOG_BYTES))
    return log.read().decode("utf-8", "replace")


def _reason(log: str) -> str:
    """llama.cpp's own words, where it said why."""
    for line in log.splitlines():
        found = _REASON.search(line)
        if found:
            return (found[1] or found[2]).strip()[:200]
    errors = [_STAMP.sub("", line) for line in log.splitlines() if _STAMP.match(line)]
    return errors[0].strip()[:200] if errors else ""
