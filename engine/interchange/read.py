"""Reads chats out of a file, whatever program wrote it: the format is told by what is in it."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.interchange import chatgpt, lmstudio, oterm, own, plain
from engine.interchange.build import Builder
from engine.interchange.found import Found, Skipped, Unfit
from engine.interchange.split import Piece, pieces
from engine.interchange.values import parse
from engine.protocol.errors import EngineError, fault

FILE_LIMIT = 1 << 30
"""Bytes of one file at most; it is read into memory."""
FOLDER_FILES = 20_000
"""Files of a folder that are looked at, at most."""
_ZIP = b"PK\x03\x04"
_ENDINGS = (".json", ".jsonl", ".ndjson", ".zip", ".db")
_NO_CHAT = "nothing that looks like a chat"


class Reading:
    """Iterate over it: each chat as Found, each thing left out as Skipped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._left: list[Skipped] = []
        self.done = 0.0
        """How far it is, 0 to 1."""

    def __iter__(self) -> Iterator[Found | Skipped]:
        """Raises EngineError `import_unreadable` or `import_too_large` for the file itself."""
        files = _files(self._path)
        for number, file in enumerate(files):
            for item in self._file(file, number, len(files)):
                yield from self._flush()
                if item is not None:
                    yield item
            yield from self._flush()
        self.done = 1.0

    def _file(self, file: Path, number: int, count: int) -> Iterator[Found | Skipped | None]:
        try:
            with open(file, "rb") as opened:
                head = opened.read(16)
            if head == oterm.MAGIC:
                yield from oterm.read(file, self._skip)
            elif head.startswith(_ZIP):
                yield from self._zip(file)
            else:
                data = _whole(file)
                for item, end in self._data(data):
                    self.done = (number + end / max(1, len(data))) / count
                    yield item
        except OSError as error:
            if count == 1:
                raise _unreadable(file, error) from error
            self._skip(Skipped(file.name, "cannot be read"))
        except Unfit as why:
            self._skip(Skipped(file.name, str(why)))

    def _zip(self, file: Path) -> Iterator[Found | Skipped | None]:
        try:
            with zipfile.ZipFile(file) as archive:
                names = [each for each in archive.infolist() if _is_export(each.filename)]
                if not names:
                    self._skip(Skipped(file.name, "no conversations.json in it"))
                for number, member in enumerate(names):
                    data = _unpacked(archive, member)
                    for item, end in self._data(data):
                        self.done = (number + end / max(1, len(data))) / len(names)
                        yield item
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError):
            # What zipfile raises for damaged, encrypted and unknown archives.
            self._skip(Skipped(file.name, "the archive cannot be read"))

    def _data(self, data: bytes) -> Iterator[tuple[Found | Skipped | None, int]]:
        """What a file holds, each with where it ends. Messages that stand alone make up one chat."""
        alone: list[Any] = []
        place = end = 0
        for piece in pieces(data):
            end = piece.end
            try:
                value = parse(piece.data) if piece.data else _cut()
                if plain.is_message(value):
                    alone.append(value)
                    continue
                for item in self._chats(value, piece):
                    yield item, end
            except Unfit as why:
                self._skip(Skipped(piece.place, str(why)))
                yield None, end
            except RecursionError:
                self._skip(Skipped(piece.place, "nested too deeply"))
        if alone:
            builder = Builder("the file", self._skip)
            plain.fill(builder, alone)
            yield builder.done(), end or place

    def _chats(self, value: Any, piece: Piece) -> Iterator[Found | Skipped | None]:
        if own.is_ours(value):
            yield from own.read(value)
        elif chatgpt.is_chat(value):
            yield chatgpt.read(value, piece.place, self._skip)
        elif lmstudio.is_chat(value):
            yield lmstudio.read(value, piece.place, self._skip)
        elif plain.is_chat(value):
            yield plain.read(value, piece.place, self._skip)
        else:
            raise Unfit(_NO_CHAT)

    def _skip(self, one: Skipped) -> None:
        self._left.append(one)

    def _flush(self) -> Iterator[Skipped]:
        left, self._left = self._left, []
        yield from left


def _files(path: Path) -> list[Path]:
    """The file, or the files of a folder that could hold chats. Raises EngineError `import_unreadable`."""
    try:
        if not path.is_dir():
            return [path]
        found = sorted(each for each in path.rglob("*") if each.suffix.lower() in _ENDINGS and each.is_file())
    except OSError as error:
        raise _unreadable(path, error) from error
    if not found:
        raise fault(
            "import_unreadable",
            f"{path} holds no file that could be a chat",
            f"Looked for {', '.join(_ENDINGS)}",
            "Name the file, or the folder in which the chats are",
        )
    return found[:FOLDER_FILES]


def _whole(file: Path) -> bytes:
    size = file.stat().st_size
    if size > FILE_LIMIT:
        raise _too_large(file.name, size)
    with open(file, "rb") as opened:
        data = opened.read(FILE_LIMIT + 1)  # no more, also of what has no size, a device say
    if len(data) > FILE_LIMIT:
        raise _too_large(file.name, len(data))
    return data


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    """A member's bytes; no more is unpacked than may be, whatever the archive claims."""
    with archive.open(member) as opened:
        data = opened.read(FILE_LIMIT + 1)
    if len(data) > FILE_LIMIT:
        raise _too_large(member.filename, len(data))
    return data


def _is_export(name: str) -> bool:
    base = name.rpartition("/")[2].lower()
    return base.startswith(("conversations", "chat")) and base.endswith((".json", ".jsonl"))


def _cut() -> Any:
    raise Unfit("the file ends in the middle of it")


def _too_large(name: str, size: int) -> EngineError:
    return fault(
        "import_too_large",
        f"{name} is too large to be read",
        f"It has {size >> 20:,} MiB, and {FILE_LIMIT >> 20:,} MiB are read at most",
        "Split it, one chat a line",
    )


def _unreadable(path: Path, error: OSError) -> EngineError:
    return fault(
        "import_unreadable",
        f"{path} cannot be read",
        error.strerror or str(error),
        "Check the path and its permissions",
    )
