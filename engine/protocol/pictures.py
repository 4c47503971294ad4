"""Commands that bring images to the engine, and show them again."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from engine.protocol.command import Command
from engine.protocol.specs import ImageRef


class Upload(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where an image on its way stands."""

    id: str
    """Goes with the next page."""
    image: ImageRef | None = None
    """The image as it is kept, after the last page."""


class PutImage(Command, frozen=True, tag=True):
    """A page of an image file, in order. With `last` it is looked at and kept."""

    Result: ClassVar[type] = Upload
    name: str
    data: bytes
    """At most 512 KiB; base64 on the wire."""
    upload: str = ""
    """Empty with the first page."""
    last: bool = False
    saved: bool = True
    """False: it is kept in memory only, as the chat is that it is meant for."""


class Preview(msgspec.Struct, frozen=True):
    """A small version of an image, as PNG."""

    data: bytes


class ReadImage(Command, frozen=True, tag=True):
    """What a screen needs to show an image; never the whole of it."""

    Result: ClassVar[type] = Preview
    image: str
