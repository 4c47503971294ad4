"""Text files for a message: reading one, with a plain sentence where that cannot be; and keeping them."""

from __future__ import annotations

import os
import re
import shlex
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from engine.api import EngineError, fault, specs, state_dir, write_atomic
from tui.places import of_here

MOST = 1_000_000
"""Bytes of a file at most."""
FORGET_AFTER = 60 * 86400.0
"""Seconds after which files kept for a chat that nobody came back to are dropped."""
_BOMS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))
_KINDS = {
    stat.S_IFDIR: "is a folder; attach the files in it one by one",
    stat.S_IFIFO: "is a pipe, not a file",
    stat.S_IFSOCK: "is a socket, not a file",
    stat.S_IFCHR: "is a device, not a file",
    stat.S_IFBLK: "is a device, not a file",
}


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a chat's composer holds beside the draft that the engine keeps."""

    files: tuple[specs.Attachment, ...] = ()
    text: str = ""
    """Of the chat that does not exist yet."""
    here: bool = False
    """Whether that one was shown."""
    images: tuple[specs.ImageRef, ...] = ()


def read_file(typed: str) -> specs.Attachment:
    """The text of a file. Raises EngineError `not_attached`, whose title is one sentence for people."""
    shown, data = read_bytes(
        typed, MOST, lambda size: f"has {size / 1e6:.1f} MB; 1 MB is the most that can be attached", _KINDS
    )
    if len(data) > MOST:
        raise refused(shown, "grew over 1 MB while it was read")
    return specs.Attachment(shown, _text(shown, data))


def read_bytes(
    typed: str, most: int, too_large: Callable[[int], str], kinds: Mapping[int, str]
) -> tuple[str, bytes]:
    """The name to show of a file, and its bytes, at most one more than `most`.

    `too_large` says what is wrong with so many bytes, `kinds` what is wrong with a kind of file
    (`stat.S_IFMT`). Raises EngineError `not_attached`.
    """
    path = resolve(typed)
    shown = shown_name(path)
    try:
        found = path.stat()  # before it is opened: opening a pipe or a device can wait, or do something
        if not stat.S_ISREG(found.st_mode):
            raise refused(shown, kinds.get(stat.S_IFMT(found.st_mode), "is not a file"))
        if found.st_size > most:
            raise refused(shown, too_large(found.st_size))
        return shown, _read(path, most)
    except OSError as error:
        raise refused(shown, f"cannot be read: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:  # a path with a NUL in it
        raise refused(shown, "is no path") from error


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


def _read(path: Path, most: int) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError("it changed while it was opened")
        return file.read(most + 1)


def _text(shown: str, data: bytes) -> str:
    coding = next((coding for bom, coding in _BOMS if data.startswith(bom)), "utf-8")
    try:
        text = data.decode(coding)
    except UnicodeDecodeError as error:
        raise refused(shown, "is not text (UTF-8)") from error
    if "\0" in text:
        raise refused(shown, "is not text (UTF-8)")
    if not text.strip():
        raise refused(shown, "is empty")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def refused(shown: str, why: str) -> EngineError:
    """The fault of a file that cannot go with a message: its name and what is wrong with it."""
    return fault("not_attached", f"{shown} {why}")


def _kept_path(chat: str) -> Path:
    name = chat if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", chat) else "new"
    return state_dir() / "composer" / f"{name}.json"


def _forget_old(folder: Path) -> None:
    for path in folder.glob("*.json"):
        if path.stat().st_mtime < time.time() - FORGET_AFTER:
            path.unlink(missing_ok=True)
