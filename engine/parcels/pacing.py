"""What sending and fetching share: whom they ask, how large a part is, and what a listing may say."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from engine.parcels.names import is_hash, is_plain, require_taken, wrong
from engine.protocol.errors import EngineError, fault
from engine.protocol.parcels import FILE_LIMIT, PART, FileList, FilePart, KeptFile, ListFiles, Owner, ReadFile

FIRST = 64 << 10
"""Bytes of the first part; what follows is larger or smaller by how long it took."""
LEAST = 16 << 10
AIM = 0.5
"""Seconds that a part should take: a key that is typed meanwhile waits behind one."""
TRIES = 3
"""Times that what changes while it is read is listed again, or that a part is sent in vain."""
MOST = 500
"""Files of one listing that are taken at most."""
Tell = Callable[[int, int], None]
"""Bytes done, and bytes in all."""


class Asks(Protocol):
    """What is needed of a client, or of a screen's link."""

    async def request(self, command: Any) -> Any: ...


class Parts:
    """How large the next part should be, so that it takes about AIM seconds."""

    def __init__(self) -> None:
        self.size = FIRST
        self._begun = 0.0

    def begin(self) -> int:
        """The next part is on its way; returns its size in bytes."""
        self._begun = time.monotonic()
        return self.size

    def end(self) -> None:
        """It arrived."""
        took = max(1e-3, time.monotonic() - self._begun)
        self.size = int(min(PART, max(LEAST, self.size * min(2.0, max(0.5, AIM / took)))))


async def listing(asks: Asks, owner: Owner, of: str) -> FileList:
    """What the other side has of an owner, each name, size and hash judged before anything is made of them.

    Raises EngineError `parcel_wrong`.
    """
    listed: FileList = await asks.request(ListFiles(owner, of))
    names = [each.name for each in listed.files]
    if len(names) > MOST or len({name.lower() for name in names}) != len(names):
        raise wrong("It lists a file twice, or too many")
    for each in listed.files:
        if owner == "run":
            require_taken(each.name)
        elif not is_plain(each.name):
            raise wrong(f"{each.name[:80]!r} is no plain name")
        if not is_hash(each.sha256) or not 0 <= each.size <= FILE_LIMIT:
            raise wrong(f"{each.name} has no SHA-256, or a size that cannot be")
    return listed


async def read(asks: Asks, listed: FileList, file: KeptFile, offset: int, limit: int) -> bytes:
    """Some of the bytes asked for, never more. Raises EngineError `parcel_damaged` where there are none."""
    part: FilePart = await asks.request(ReadFile(listed.owner, listed.of, file.name, offset, limit))
    if not part.data or len(part.data) > limit:
        raise damaged(file.name)
    return part.data


def damaged(name: str) -> EngineError:
    """The fault of a file whose bytes are not those that were listed."""
    return fault(
        "parcel_damaged",
        f"{name} did not arrive as it was",
        "Its SHA-256 is another one: it was changed while it was read, or damaged on the way",
        "Pull it again",
        retryable=True,
    )
