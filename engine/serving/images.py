"""Images that came with requests: the newest are kept in memory, for no chat ever asks for them again."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from engine.pictures import kept
from engine.pictures.make import make
from engine.protocol.specs import ImageRef

KEPT = 64
"""Of them at most."""
_newest: OrderedDict[str, None] = OrderedDict()
_decoding = asyncio.Semaphore(1)


async def keep(name: str, data: bytes) -> ImageRef:
    """Decode an image in another process, and keep it for a while. Raises EngineError `image_refused`."""
    async with _decoding:
        made = await asyncio.to_thread(make, name, data)
    known = kept.shared.holds(made)
    image = kept.shared.add(name, made, saved=False)
    if image.id in _newest or not known:  # one that a chat holds is not ours to let go
        _newest[image.id] = None
        _newest.move_to_end(image.id)
    while len(_newest) > KEPT:
        kept.shared.let_go(_newest.popitem(last=False)[0])
    return image
