"""The answers of `qwill chat --jsonl`: a line each, in the order of the prompts; what is there stays."""

from __future__ import annotations

import fcntl
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from engine.api import fault, write_atomic

Answered = dict[int, str]
"""Line numbers with the hashes of the lines that they answer."""


class Output:
    """Where answers go. Rows wait until all before them are written, or until `finish`."""

    def __init__(self, path: Path | None) -> None:
        """None is stdout. Raises EngineError `batch_output`."""
        self.done: Answered = {}
        """What was there before."""
        self._path = path
        self._file: IO[bytes] = sys.stdout.buffer
        self._waiting: dict[int, dict[str, Any]] = {}
        self._order: list[int] = []
        """Numbers of lines that were asked and are not written yet, in order."""
        self._newest = 0
        self._mixed = False
        """Whether rows stand behind later ones."""
        if path is not None:
            self._open(path)

    def expect(self, number: int) -> None:
        """A line that will be answered; call in order."""
        self._order.append(number)

    def put(self, number: int, row: Mapping[str, Any]) -> None:
        """One answer; written once those before it are."""
        self._waiting[number] = dict(row)
        while self._order and self._order[0] in self._waiting:
            self._write(self._order.pop(0))
        self._file.flush()

    def finish(self) -> None:
        """Write what still waits; a file whose rows are all there is put in order. Raises EngineError."""
        for number in sorted(self._waiting):
            self._write(number)
        self._file.flush()
        if self._path is None:
            return
        os.fsync(self._file.fileno())
        whole = not set(self._order) - set(self._waiting)
        if self._mixed and whole:
            self._sort(self._path)
        self._file.close()

    def _write(self, number: int) -> None:
        row = self._waiting.pop(number, None)
        if row is None:
            return
        self._mixed = self._mixed or number < self._newest
        self._newest = max(self._newest, number)
        ascii_only = self._path is None and sys.stdout.isatty()
        self._file.write(json.dumps(row, ensure_ascii=ascii_only).encode("utf-8", "replace") + b"\n")

    def _open(self, path: Path) -> None:
        try:
            self._file = open(path, "a+b")  # noqa: SIM115 - its life is this object's
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._read()
        except BlockingIOError as error:
            raise fault(
                "batch_output", f"Another process writes {path}", remedy="Wait for its end"
            ) from error
        except OSError as error:
            raise fault("batch_output", f"{path} cannot be written", error.strerror or str(error)) from error

    def _read(self) -> None:
        """The rows of an earlier run; half a row at the end, of a run that was killed, is taken off."""
        self._file.seek(0)
        good = 0
        for raw in self._file:
            row = _row(raw)
            if row is None:
                if raw.endswith(b"\n"):
                    raise fault(
                        "batch_output",
                        f"{self._path} holds something else than answers",
                        remedy="Name another file with -o",
                    )
                break
            good += len(raw)
            self._mixed = self._mixed or row[0] < self._newest
            self._newest = max(self._newest, row[0])
            self.done[row[0]] = row[1]
        self._file.truncate(good)
        self._file.seek(0, os.SEEK_END)

    def _sort(self, path: Path) -> None:
        lines = path.read_bytes().splitlines(keepends=True)
        ordered = sorted(lines, key=lambda raw: (_row(raw) or (0, ""))[0])
        mode = path.stat().st_mode & 0o777
        write_atomic(path, b"".join(ordered))
        path.chmod(mode)


def _row(raw: bytes) -> tuple[int, str] | None:
    """Number and hash of the line that a row answers; None for what is no whole row."""
    if not raw.endswith(b"\n"):
        return None
    try:
        row = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or type(row.get("line")) is not int or not isinstance(row.get("hash"), str):
        return None
    return row["line"], row["hash"]
