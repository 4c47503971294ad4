"""Decodes an image that nobody vouched for, in a process with limits; engine.pictures.make starts it.

stdin: the file. stdout: a line of JSON, `{"refused": words}` or `{"width", "height", "whole", "small"}`
(pixels, then lengths in bytes), behind which the image and its small version stand as PNG.
"""

from __future__ import annotations

import io
import json
import resource
import sys
import warnings
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
PIXELS = 40_000_000
"""Of a file at most; checked before anything is decoded."""
KEPT_PIXELS = 4_000_000
"""Of an image that is kept; more than any model looks at."""
SMALL = 320
"""Longest edge of the small version, in pixels."""
THIN = 100
"""Longest edge at most so many times the shortest one; models refuse 200."""
MEMORY_LIMIT = 2 << 30
CPU_LIMIT = 20
"""Bytes of address space and seconds of CPU."""


class Refused(Exception):
    """Words that go on from the file's name."""


def main(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer one file. Its metadata stays behind: only pixels are written again."""
    try:
        whole, small, size = converted(source.read())
    except Refused as error:
        sink.write(json.dumps({"refused": str(error)}).encode() + b"\n")
        return
    head = {"width": size[0], "height": size[1], "whole": len(whole), "small": len(small)}
    sink.write(json.dumps(head).encode() + b"\n" + whole + small)


def converted(data: bytes) -> tuple[bytes, bytes, tuple[int, int]]:
    """The upright RGB image and its small version as PNG, and its width and height. Raises Refused."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = PIXELS
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            _check(width, height)
            image.draft("RGB", (2000, 2000))
            upright = ImageOps.exif_transpose(image)
            upright = _flat(upright)
    except UnidentifiedImageError as error:
        raise Refused("is no image of a kind that can be read (PNG, JPEG, WebP, GIF, BMP)") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Refused(f"has more than {PIXELS // 1_000_000} megapixels") from error
    except Refused:
        raise
    except Exception as error:  # decoders raise whatever a broken file leads them to
        raise Refused("is damaged and cannot be decoded") from error
    upright.thumbnail(_within(upright.size))
    small = upright.copy()
    small.thumbnail((SMALL, SMALL))
    return _png(upright), _png(small), upright.size


def _check(width: int, height: int) -> None:
    if width * height > PIXELS:
        raise Refused(f"has {width * height / 1e6:.0f} megapixels; {PIXELS // 1_000_000} are the most")
    if min(width, height) < 1 or max(width, height) > THIN * min(width, height):
        raise Refused(f"is too thin to be looked at ({width}×{height})")


def _within(size: tuple[int, int]) -> tuple[int, int]:
    width, height = size
    scale = min(1.0, (KEPT_PIXELS / (width * height)) ** 0.5)
    return max(1, int(width * scale)), max(1, int(height * scale))


def _flat(image: Picture) -> Picture:
    """RGB; what is transparent lies on white, as most pages that it was made for are."""
    from PIL import Image

    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        clear = image.convert("RGBA")
        page = Image.new("RGBA", clear.size, "white")
        return Image.alpha_composite(page, clear).convert("RGB")
    return image.convert("RGB")


def _png(image: Picture) -> bytes:
    out = io.BytesIO()
    # New pixels, so that no chunk of the file it came from goes along.
    image.info = {}
    image.save(out, "PNG", compress_level=3)
    return out.getvalue()


def limit() -> None:
    """Bound this process; a system without such a limit goes on without it."""
    for kind, most in ((resource.RLIMIT_AS, MEMORY_LIMIT), (resource.RLIMIT_CPU, CPU_LIMIT)):
        try:
            resource.setrlimit(kind, (most, most))
        except (ValueError, OSError):
            continue


if __name__ == "__main__":
    limit()
    main(sys.stdin.buffer, sys.stdout.buffer)
