"""Small files of the kernel: read whole, and why a number in one cannot be had, in a word or two."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

MOST = 1 << 16
"""Bytes of a file that are read at most; a page of sysfs is 4 KiB."""
BOUND = 1 << 50
"""No counter here is larger: what is, is nonsense (an underflow reads as nearly 2^64)."""
_WORDS = {
    errno.ENOENT: "missing",
    errno.ENOTDIR: "missing",
    errno.EBUSY: "busy",
    errno.ENODEV: "gone",
    errno.ENXIO: "gone",
    errno.ESRCH: "gone",
    errno.EACCES: "not allowed",
    errno.EPERM: "not allowed",
    errno.EOPNOTSUPP: "not supported",
    errno.EINVAL: "not supported",
}


class Unreadable(Exception):
    """A number that cannot be had; the message says why in a word or two."""


class Files:
    """The files of one machine. Tests give a recorded tree as `root`, or files that fail or hang."""

    def __init__(self, root: Path | str = "/") -> None:
        self._root = os.fspath(root).rstrip("/")

    def read(self, path: str, most: int = MOST) -> bytes:
        """At most `most` bytes of it. `path` is absolute. Raises OSError."""
        file = os.open(self._root + path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            parts = [os.read(file, most)]
            # A file of /proc may hand out one page a call.
            while parts[-1] and sum(map(len, parts)) < most:
                parts.append(os.read(file, most))
        finally:
            os.close(file)
        return b"".join(parts)

    def names(self, path: str) -> list[str]:
        """What a folder holds, sorted. Raises OSError."""
        return sorted(os.listdir(self._root + path))

    def link(self, path: str) -> str:
        """What a link says. Raises OSError."""
        return os.readlink(self._root + path)

    def real(self, path: str) -> str:
        """The path without links, below the root."""
        whole = os.path.realpath(self._root + path)
        return whole.removeprefix(os.path.realpath(self._root)) if self._root else whole

    def exists(self, path: str) -> bool:
        return os.path.exists(self._root + path)

    def space(self, path: str) -> tuple[int, int]:
        """Bytes of a file system: all, and used (statvfs). Raises OSError."""
        found = os.statvfs(self._root + path)
        return found.f_blocks * found.f_frsize, (found.f_blocks - found.f_bfree) * found.f_frsize

    def line(self, path: str) -> str:
        """First line, stripped. Raises OSError."""
        return self.read(path).split(b"\n", 1)[0].decode("utf-8", "replace").strip()

    def word(self, path: str) -> str:
        """First line, stripped; empty when it cannot be read."""
        try:
            return self.line(path)
        except OSError:
            return ""

    def number(self, path: str, bound: int = BOUND) -> int:
        """A counter, from 0 to `bound`. Raises Unreadable."""
        try:
            return number(self.line(path), bound)
        except OSError as error:
            raise Unreadable(word_of(error)) from error


def number(text: str, bound: int = BOUND) -> int:
    """Plain digits, from 0 to `bound`. Raises Unreadable."""
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdecimal():
        raise Unreadable("no number")
    if text.startswith("-"):
        raise Unreadable("negative")
    if len(digits) > 20 or int(digits) > bound:
        raise Unreadable("out of range")
    return int(digits)


def word_of(error: OSError) -> str:
    """Why a file could not be read."""
    return _WORDS.get(error.errno or 0, (error.strerror or "unreadable").lower())


def reasons(missing: Iterable[tuple[str, str]]) -> str:
    """`VRAM used, load (busy), power (missing)` from pairs of what and why, in their order."""
    parts: list[str] = []
    for what, why in missing:
        if parts and parts[-1].endswith(f" ({why})"):
            parts[-1] = parts[-1].removesuffix(f" ({why})")
        parts.append(f"{what} ({why})")
    return ", ".join(parts)
