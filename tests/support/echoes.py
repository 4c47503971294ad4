"""How long a key takes until its letter is on the screen."""

from __future__ import annotations

import asyncio
import re

import pyte

from tests.support.pty_app import KNOWN_MODE, UNKNOWN
from tests.support.throttled_pty import ThrottledPty

PROMPT = "› "
LETTERS = "abcdefghijklmnopqrstuvwxyz"
UNFINISHED = re.compile(rb"\x1b(?:\[[0-9;?<>=$]*|\][^\x07\x1b]*)?\Z")
"""A sequence whose end is still on its way."""


async def echoes(app: ThrottledPty, keys: int, every: float = 0.43) -> list[float]:
    """Type letters into the empty composer, one by one; seconds from each key to the packet that shows it.

    All is recorded first and drawn afterwards: drawing takes time that is not the program's.
    """
    before, first = len(app.came), len(app.typed)
    text = "".join(LETTERS[at % len(LETTERS)] for at in range(keys))
    for letter in text:
        app.type(letter)
        await asyncio.sleep(every)
    await app.until(PROMPT + text)
    seen = _replayed(app, before, text)
    app.type("\x7f" * keys)
    await app.until(lambda lines: PROMPT + "a" not in "\n".join(lines), what="an empty composer")
    pressed = [chunk.at for chunk in app.typed[first : first + keys]]
    return [at - key for at, key in zip(seen, pressed, strict=True)]


def _replayed(app: ThrottledPty, before: int, text: str) -> list[float]:
    """When each beginning of the text was first on the screen."""
    screen = pyte.Screen(app.columns, app.rows)
    stream = pyte.ByteStream(screen)
    found: list[float] = []
    held = b""
    for number, chunk in enumerate(app.came):
        held += chunk.data
        cut = UNFINISHED.search(held)
        whole, held = (held[: cut.start()], held[cut.start() :]) if cut else (held, b"")
        stream.feed(UNKNOWN.sub(lambda m: m[0] if KNOWN_MODE.match(m[0]) else b"", whole))
        if number < before:
            continue
        shown = "\n".join(screen.display)
        while len(found) < len(text) and PROMPT + text[: len(found) + 1] in shown:
            found.append(chunk.at)
    if len(found) < len(text):
        raise AssertionError(f"only {len(found)} of {len(text)} letters came:\n" + "\n".join(screen.display))
    return found
