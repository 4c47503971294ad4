"""Where images lie: PNG files named by their content, and in memory for chats that leave nothing on disk."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Collection
from pathlib import Path

from engine import paths
from engine.files import write_atomic
from engine.pictures.make import Made
from engine.protocol.errors import EngineError, fault
from engine.protocol.specs import ImageRef

FORGET_AFTER = 60 * 86400.0
"""Seconds for which an image that no message holds is kept: it may wait in a composer."""
_ID = re.compile(r"[0-9a-f]{64}")
_SMALL = ".small"


class Kept:
    """Images by id. Used from any thread."""

    def __init__(self) -> None:
        self._memory: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def add(self, name: str, made: Made, *, saved: bool) -> ImageRef:
        """Keep an image. Raises OSError when the disk refuses."""
        image = hashlib.sha256(made.whole).hexdigest()
        for suffix, data in (("", made.whole), (_SMALL, made.small)):
            if saved:
                path = _path(image, suffix)
                if not path.exists():
                    write_atomic(path, data)
            else:
                with self._lock:
                    self._memory[image + suffix] = data
        return ImageRef(image, name, made.width, made.height)

    def holds(self, made: Made) -> bool:
        """Whether the same image is in memory already."""
        with self._lock:
            return hashlib.sha256(made.whole).hexdigest() in self._memory

    def let_go(self, image: str) -> None:
        """Drop an image from memory; one on the disk stays there."""
        with self._lock:
            for suffix in ("", _SMALL):
                self._memory.pop(image + suffix, None)

    def whole(self, image: ImageRef) -> bytes:
        """PNG. Raises EngineError `image_gone`."""
        return self._read(image.id, "")

    def small(self, image: str) -> bytes:
        """PNG. Raises EngineError `image_gone`."""
        return self._read(image, _SMALL)

    def checked(self, image: ImageRef, *, saved: bool) -> ImageRef:
        """The image with its true size; on the disk from now on where its chat is. Raises `image_gone`."""
        whole = self.whole(image)
        if saved and not _path(image.id, "").exists():
            for suffix in ("", _SMALL):
                write_atomic(_path(image.id, suffix), self._read(image.id, suffix))
        return ImageRef(image.id, image.name, _edge(whole, 16), _edge(whole, 20))

    def forget(self, used: Collection[str]) -> int:
        """Drop old files that are not among these ids; returns how many images went."""
        gone = 0
        for path in _folder().glob("*.png"):
            image = path.name.partition(".")[0]
            if image not in used and path.stat().st_mtime < time.time() - FORGET_AFTER:
                path.unlink(missing_ok=True)
                gone += path.name == f"{image}.png"
        return gone

    def _read(self, image: str, suffix: str) -> bytes:
        if not _ID.fullmatch(image):
            raise _gone()
        with self._lock:
            held = self._memory.get(image + suffix)
        if held is not None:
            return held
        try:
            return _path(image, suffix).read_bytes()
        except OSError as error:
            raise _gone() from error


def _folder() -> Path:
    folder = paths.data_dir() / "images"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _path(image: str, suffix: str) -> Path:
    return _folder() / f"{image}{suffix}.png"


def _edge(png: bytes, at: int) -> int:
    """Width (at 16) or height (at 20) from the header of a PNG. Source: PNG 1.2, 11.2.2 IHDR."""
    return int.from_bytes(png[at : at + 4])


def _gone() -> EngineError:
    return fault("image_gone", "An image of this chat is no longer there", remedy="Attach it again")


shared = Kept()
"""The engine's images."""
