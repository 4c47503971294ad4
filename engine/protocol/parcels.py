"""Commands for files that travel between a client and an engine on another machine."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from engine.protocol.command import Command
from engine.protocol.runs import RunInfo

PART = 512 << 10
"""Bytes of one part at most; as base64 it fits on a line."""
FILE_LIMIT = 64 << 30
"""Bytes of one file at most."""
FOLDER_MOST = 200
"""Entries of a folder that are listed at most."""

WAITING = "exports:"
"""Begins the target of an export that waits on the engine's machine to be fetched: `exports:NAME`."""

Owner = Literal["run", "export"]
"""Whose files are handed out: a run's (its log, spec, adapter or model), or what an export wrote."""


class Parcel(msgspec.Struct, frozen=True, omit_defaults=True):
    """How much of a file the engine has."""

    sha256: str
    held: int = 0
    """Bytes from its beginning; go on there."""
    path: str = ""
    """Where it lies on the engine's machine, once it is whole and its hash was right."""


class HasFile(Command, frozen=True, tag=True):
    """Whether the engine has a file, by its content; a whole one is kept longer for being asked for."""

    Result: ClassVar[type] = Parcel
    sha256: str
    """64 digits of hex."""
    size: int
    name: str = ""
    """How it should be called there: the ending tells what it is."""


class PutPart(Command, frozen=True, tag=True):
    """The next bytes of a file. What begins elsewhere than at `held` is not taken: the answer says where to
    go on. The part that reaches `size` completes the file.

    Raises EngineError `parcel_wrong`, `parcel_damaged`, `disk_full`.
    """

    Result: ClassVar[type] = Parcel
    sha256: str
    size: int
    offset: int
    data: bytes
    """At most PART; base64 on the wire."""
    name: str = ""


class KeptFile(msgspec.Struct, frozen=True):
    """One file of an owner's folder."""

    name: str
    """Relative, parts separated by `/`; letters, digits, `.`, `_` and `-` only."""
    size: int
    sha256: str
    """Of its first `size` bytes: a log may grow meanwhile."""


class FileList(msgspec.Struct, frozen=True, omit_defaults=True):
    """What can be read of an owner."""

    owner: Owner
    of: str
    """Its whole id."""
    files: tuple[KeptFile, ...] = ()
    run: RunInfo | None = None
    """The run as it stands, of a run."""


class ListFiles(Command, frozen=True, tag=True):
    """The files of a run or an export. Raises EngineError `run_unknown`, `export_unknown`."""

    Result: ClassVar[type] = FileList
    owner: Owner
    of: str
    """A run by id, number or name; an export by its job."""


class FilePart(msgspec.Struct, frozen=True):
    """Bytes of a file from an offset on; fewer than asked for at its end."""

    data: bytes


class ReadFile(Command, frozen=True, tag=True):
    """A part of a listed file. Raises EngineError `file_unknown`."""

    Result: ClassVar[type] = FilePart
    owner: Owner
    of: str
    name: str
    offset: int = 0
    limit: int = PART


class KeepRun(Command, frozen=True, tag=True):
    """Make a run of another engine one of this engine's. Its files were put here by their hashes before.

    The same run kept once more takes the place of the earlier copy, which goes to the trash.
    Raises EngineError `parcel_missing`, `parcel_wrong`.
    """

    Result: ClassVar[type] = RunInfo
    run: RunInfo
    files: tuple[KeptFile, ...]
    origin: str
    """`HOST/RUN`: where it was trained, and its id there."""


class FolderEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One name in a folder."""

    name: str
    folder: bool = False
    size: int = 0
    """Bytes; 0 for a folder."""


class FolderPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Names in a folder, in order."""

    entries: tuple[FolderEntry, ...] = ()
    more: bool = False
    """Whether there were more than are listed."""


class ListFolder(Command, frozen=True, tag=True):
    """Names on the engine's machine that a typed path could become. Hidden ones are never listed, nor the
    kernel's own folders; what cannot be read is empty."""

    Result: ClassVar[type] = FolderPage
    typed: str
    """From `/` or `~` on; what stands behind the last slash is the beginning of a name."""
    folders: bool = False
    """Only folders."""


class NamedPart(msgspec.Struct, frozen=True):
    """Bytes of a file from an offset on; fewer than asked for at its end."""

    data: bytes
    size: int
    """Of the whole file."""


class ReadNamed(Command, frozen=True, tag=True):
    """A part, PART bytes at most, of a file on the engine's machine that a person named.

    Only regular files, and none of the kernel's own. Raises EngineError `not_attached`.
    """

    Result: ClassVar[type] = NamedPart
    path: str
    """From `/` or `~` on."""
    offset: int = 0
