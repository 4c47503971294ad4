"""Image files for a message: reading one, bringing it to the engine, and whether a terminal can show it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.api import commands, not_attached, specs
from tui.attach import Request, read_either

if TYPE_CHECKING:
    from textual.widget import Widget

MOST = 20_000_000
"""Bytes of an image file at most."""
PAGE = 512 << 10
"""Bytes sent at once."""
ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")
COLUMNS, ROWS = 40, 12
"""Cells that a shown image takes at most."""


def is_image(path: str) -> bool:
    """Whether a path is named as images are."""
    return path.strip().lower().endswith(ENDINGS)


async def read_image(request: Request, typed: str, host: str) -> tuple[str, bytes]:
    """Name and bytes of a file, as `read_either` finds it. Raises EngineError `not_attached`."""
    shown, data = await read_either(request, typed, host, MOST)
    if not data:
        raise not_attached(shown, "is empty")
    return shown, data


async def upload(
    request: Request,
    name: str,
    data: bytes,
    *,
    saved: bool = True,
    told: Callable[[float], None] | None = None,
) -> specs.ImageRef:
    """Bring an image to the engine; `told` hears the share that is there. Raises as `request` does."""
    sent = 0
    answer = commands.Upload("")
    while answer.image is None:
        page = data[sent : sent + PAGE]
        sent += len(page)
        last = sent >= len(data)
        answer = await request(
            commands.PutImage(name=name, data=page, upload=answer.id, last=last, saved=saved)
        )
        if told is not None:
            told(sent / max(1, len(data)))
        if last:
            break
    if answer.image is None:
        raise not_attached(name, "was not received whole; attach it again")
    return answer.image


def words(image: specs.ImageRef) -> str:
    """Its size in pixels."""
    return f"{image.width}×{image.height}"


def cells(image: specs.ImageRef) -> tuple[int, int]:
    """Columns and rows in which it is shown: its shape kept, a cell twice as high as wide."""
    scale = min(1.0, COLUMNS / image.width, 2 * ROWS / image.height)
    return max(1, round(image.width * scale)), max(1, round(image.height * scale / 2))


def can_show() -> bool:
    """Whether textual-image is installed (the extra `images`) and the terminal has enough colours."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") in ("dumb", "linux", "vt100"):
        return False
    from importlib.util import find_spec

    return find_spec("textual_image") is not None and find_spec("PIL") is not None


def shown(data: bytes) -> Widget:
    """A widget that shows a PNG of ours in half cells, which every terminal with colours can."""
    import io
    from unittest.mock import patch

    with open(os.devnull, "w") as nowhere, patch.object(sys, "__stdout__", nowhere):
        # Its import asks the terminal what it can; the answer would come in as keys.
        from textual_image.widget import HalfcellImage
    return HalfcellImage(io.BytesIO(data))
