"""Answers PutImage and ReadImage."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from engine.chatbook import new_id
from engine.pictures.kept import Kept
from engine.pictures.make import FILE_LIMIT, make, refused
from engine.protocol.errors import fault
from engine.protocol.pictures import Preview, PutImage, ReadImage, Upload
from engine.protocol.specs import ImageRef

TOGETHER = 4
"""Uploads on their way at most; the one begun first gives way."""
NAME_LIMIT = 200


class Intake:
    """Uploads, page by page. Used from the loop's thread; decoding happens in a process of its own."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._coming: OrderedDict[str, bytearray] = OrderedDict()
        self._decoding = asyncio.Semaphore(1)

    async def put(self, command: PutImage) -> Upload:
        """One page. Raises EngineError `image_refused`, `upload_unknown`, `disk_full`."""
        upload = command.upload or new_id()
        if not command.upload:
            self._coming[upload] = bytearray()
            while len(self._coming) > TOGETHER:
                self._coming.popitem(last=False)
        held = self._coming.get(upload)
        if held is None:
            raise fault("upload_unknown", "The image was not received whole", remedy="Attach it again")
        held += command.data
        name = command.name[:NAME_LIMIT]
        if len(held) > FILE_LIMIT:
            del self._coming[upload]
            raise refused(name, f"has more than {FILE_LIMIT // 1_000_000} MB")
        if not command.last:
            return Upload(upload)
        del self._coming[upload]
        async with self._decoding:
            return Upload(upload, await asyncio.to_thread(self._keep, name, bytes(held), command.saved))

    async def read(self, command: ReadImage) -> Preview:
        """The small version. Raises EngineError `image_gone`."""
        return Preview(await asyncio.to_thread(self._kept.small, command.image))

    def _keep(self, name: str, data: bytes, saved: bool) -> ImageRef:
        made = make(name, data)
        try:
            return self._kept.add(name, made, saved=saved)
        except OSError as error:
            raise fault(
                "image_unkept",
                f"{name} cannot be kept",
                error.strerror or str(error),
                "Make room on the disk, then attach it again",
            ) from error
