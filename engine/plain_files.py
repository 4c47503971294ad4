"""Opens a file that a person named: a regular one, and nothing that could wait or act when it is opened."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from engine.protocol.errors import EngineError, fault

_KINDS = {
    stat.S_IFDIR: "is a folder; attach the files in it one by one",
    stat.S_IFIFO: "is a pipe, not a file",
    stat.S_IFSOCK: "is a socket, not a file",
    stat.S_IFCHR: "is a device, not a file",
    stat.S_IFBLK: "is a device, not a file",
}


@contextmanager
def open_plain(path: Path, shown: str) -> Iterator[tuple[BinaryIO, int]]:
    """The file and its bytes. Blocks on the disk.

    Raises EngineError `not_attached`, whose title is one sentence for people.
    """
    try:
        found = path.stat()  # before it is opened: opening a pipe or a device can wait, or do something
        if not stat.S_ISREG(found.st_mode):
            raise not_attached(shown, _KINDS.get(stat.S_IFMT(found.st_mode), "is not a file"))
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise not_attached(shown, "changed while it was opened")
            yield file, found.st_size
    except OSError as error:
        raise not_attached(shown, f"cannot be read: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:  # a path with a NUL in it
        raise not_attached(shown, "is no path") from error


def not_attached(shown: str, why: str) -> EngineError:
    """The fault of a file that cannot go with a message: its name and what is wrong with it."""
    return fault("not_attached", f"{shown} {why}")
