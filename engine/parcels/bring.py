"""Brings a run of one engine to another: curve and adapter pass through this client, which keeps nothing."""

from __future__ import annotations

from engine.parcels.names import wrong
from engine.parcels.pacing import TRIES, Asks, Tell, listing, read
from engine.parcels.push import put_all
from engine.protocol.errors import EngineError
from engine.protocol.parcels import FileList, HasFile, KeepRun, KeptFile
from engine.protocol.runs import RunInfo

AGAIN = ("parcel_damaged", "parcel_missing")
"""A run under way saves its adapter anew while it is read: then all is listed once more."""


async def bring(far: Asks, near: Asks, run: str, host: str, tell: Tell) -> RunInfo:
    """Answers with the run as it is at `near`. Begun again after a cut, it goes on where it stopped.

    `host` is what the far machine is called here. Raises EngineError `parcel_wrong` for names and hashes
    that must not reach a disk, `parcel_damaged`, `disk_full`, EngineLost.
    """
    left = TRIES
    while True:
        left -= 1
        listed = await listing(far, "run", run)
        if listed.run is None:
            raise wrong("It lists a run without saying what it is")
        try:
            await _relay_all(far, near, listed, tell)
            kept: RunInfo = await near.request(KeepRun(listed.run, listed.files, f"{host}/{listed.run.id}"))
            return kept
        except EngineError as error:
            if not left or error.info.code not in AGAIN:
                raise


async def _relay_all(far: Asks, near: Asks, listed: FileList, tell: Tell) -> None:
    total, done = sum(each.size for each in listed.files), 0
    for each in listed.files:
        await _relay(far, near, listed, each, _behind(tell, done, total))
        done += each.size


def _behind(tell: Tell, done: int, total: int) -> Tell:
    return lambda part, _: tell(done + part, total)


async def _relay(far: Asks, near: Asks, listed: FileList, file: KeptFile, tell: Tell) -> None:
    async def wanted(offset: int, count: int) -> bytes:
        return await read(far, listed, file, offset, count) if count else b""

    name = file.name.rpartition("/")[2]
    await put_all(near, HasFile(file.sha256, file.size, name), wanted, lambda done: tell(done, file.size))
