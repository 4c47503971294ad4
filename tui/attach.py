"""Text files for a message: reading one, with a plain sentence where that cannot be; and keeping them."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec.structs import replace

from engine.api import EngineError, commands, not_attached, open_plain, specs, state_dir, write_atomic
from tui.places import of_here, parse, say

MOST = 1_000_000
"""Bytes of a file at most."""
FORGET_AFTER = 60 * 86400.0
"""Seconds after which files kept for a chat that nobody came back to are dropped."""
_BOMS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))


Request = Callable[[Any], Awaitable[Any]]
"""Asks the engine. Raises EngineError, EngineLost."""


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a chat's composer holds beside the draft that the engine keeps."""

    files: tuple[specs.Attachment, ...] = ()
    text: str = ""
    """Of the chat that does not exist yet."""
    here: bool = False
    """Whether that one was shown."""
    images: tuple[specs.ImageRef, ...] = ()


async def read_file(request: Request, typed: str, host: str) -> specs.Attachment:
    """The text of a file, as `read_either` finds it."""
    return as_text(*await read_either(request, typed, host, MOST))


def read_bytes(typed: str, most: int) -> tuple[str, bytes]:
    """The name to show of a file, and its bytes. Raises EngineError `not_attached`."""
    path = resolve(typed)
    shown = shown_name(path)
    with open_plain(path, shown) as (file, size):
        if size > most:
            raise too_large(shown, size, most)
        data = file.read(most + 1)
    if len(data) > most:
        raise not_attached(shown, "grew while it was read")
    return shown, data


def check(typed: str, host: str) -> None:
    """Refuse a file of this machine that cannot be opened; one of `host` is not looked at.

    Raises EngineError `not_attached`.
    """
    if parse(typed, host).side != "there":
        path = resolve(typed)
        with open_plain(path, shown_name(path)):
            pass


async def read_either(request: Request, typed: str, host: str, most: int) -> tuple[str, bytes]:
    """The same of a file here or, as `box:PATH`, on the engine's machine, from where it comes in parts.

    `host`: what that machine is called; empty is this one. Raises as `request` does, too.
    """
    place = parse(typed, host)
    if place.side != "there":
        return await asyncio.to_thread(read_bytes, typed, most)
    shown, data = say("there", place.path.rpartition("/")[2], host), b""
    while True:
        part = await _part(request, commands.ReadNamed(place.path, len(data)), host)
        if part.size > most:
            raise too_large(shown, part.size, most)
        data += part.data
        if len(data) == part.size:
            return shown, data
        if not part.data or len(data) > part.size:
            raise not_attached(shown, "changed while it was read")


async def _part(request: Request, command: commands.ReadNamed, host: str) -> commands.NamedPart:
    try:
        part: commands.NamedPart = await request(command)
    except EngineError as error:
        if error.info.code == "not_attached":
            raise EngineError(replace(error.info, title=say("there", error.info.title, host))) from error
        raise
    return part


def too_large(shown: str, size: int, most: int) -> EngineError:
    """The fault of a file with so many bytes."""
    return not_attached(
        shown, f"has {size / 1e6:.1f} MB; {most / 1e6:.0f} MB is the most that can be attached"
    )


def resolve(typed: str) -> Path:
    """The path that was meant: `~` is the home folder, anything else relative to the present folder."""
    return Path(os.path.expanduser(of_here(typed)))


def shown_name(path: Path) -> str:
    """Relative to the present folder where it lies in it, else the file's name alone."""
    try:
        return str(path.resolve().relative_to(Path.cwd().resolve()))
    except (OSError, ValueError, RuntimeError):
        return path.name or str(path)


def dropped(text: str) -> Path | None:
    """The one existing file that a pasted text names, as terminals paste what is dropped on them."""
    text = text.strip()
    if not text or "\n" in text or len(text) > 4096:
        return None
    if text.startswith("file://"):
        text = unquote(urlsplit(text).path)
    elif text[0] in "'\"/~" or "\\ " in text:
        try:
            words = shlex.split(text)
        except ValueError:
            return None
        text = words[0] if len(words) == 1 else text
    if text[:1] not in ("/", "~"):
        return None
    try:
        path = resolve(text)
        return path if path.is_file() else None
    except (OSError, ValueError):
        return None


def keep(chat: str, kept: Kept) -> None:
    """Keep what a chat's composer holds until the next start; nothing is kept of an empty one."""
    try:
        path = _kept_path(chat)
        if kept == Kept():
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(path, msgspec.json.encode(kept))
        _forget_old(path.parent)
    except (OSError, EngineError):
        pass  # what waits in the composer is still on the screen


def recall(chat: str) -> Kept:
    """What was kept for a chat; empty where nothing was, or where it cannot be read."""
    try:
        return msgspec.json.decode(_kept_path(chat).read_bytes(), type=Kept)
    except (OSError, EngineError, msgspec.MsgspecError, ValueError):
        return Kept()


def as_text(shown: str, data: bytes) -> specs.Attachment:
    """A file of text in UTF-8, or UTF-16 with its mark. Raises EngineError `not_attached`."""
    coding = next((coding for bom, coding in _BOMS if data.startswith(bom)), "utf-8")
    try:
        text = data.decode(coding)
    except UnicodeDecodeError as error:
        raise not_attached(shown, "is not text (UTF-8)") from error
    if "\0" in text:
        raise not_attached(shown, "is not text (UTF-8)")
    if not text.strip():
        raise not_attached(shown, "is empty")
    return specs.Attachment(shown, text.replace("\r\n", "\n").replace("\r", "\n"))


def _kept_path(chat: str) -> Path:
    name = chat if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", chat) else "new"
    return state_dir() / "composer" / f"{name}.json"


def _forget_old(folder: Path) -> None:
    for path in folder.glob("*.json"):
        if path.stat().st_mtime < time.time() - FORGET_AFTER:
            path.unlink(missing_ok=True)
