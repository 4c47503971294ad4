"""Models on the hub: what there is, what a download takes, how it goes on, what is kept on the disk.

Texts come from a server and are as it sent them; only their size is bounded.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from engine.protocol.command import Command
from engine.protocol.errors import ErrorInfo

HubOrder = Literal["downloads", "likes", "updated", "trending"]
HubKind = Literal["", "safetensors", "gguf"]
"""What a repository's weights are kept as; empty when there are none that Qwill opens."""
FileRole = Literal["weights", "config", "tokenizer", "template", "gguf", "other"]
DownloadState = Literal["queued", "running", "waiting", "done", "cancelled", "failed"]
"""`waiting`: the line broke or the hub was busy, and it tries again by itself (`error` says why)."""
UNDER_WAY: tuple[DownloadState, ...] = ("queued", "running", "waiting")


# --- looking --------------------------------------------------------------------------------


class HubRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """One hit of a search."""

    id: str
    downloads: int = 0
    """Of the last 30 days."""
    likes: int = 0
    gated: bool = False
    updated: float = 0.0
    """Unix time in seconds; 0 is unknown."""
    tags: tuple[str, ...] = ()
    licence: str = ""
    parameters: int = 0
    """0 is unknown."""
    size: int = 0
    """Bytes of the weights, as far as the hub tells; 0 is unknown."""
    kind: HubKind = ""
    here: bool = False
    """Whether the cache on this machine holds a model of this name."""


class HubRows(msgspec.Struct, frozen=True):
    rows: tuple[HubRow, ...]


class SearchHub(Command, frozen=True, tag=True):
    """Models on the hub whose name or description holds these words. Asks the network."""

    Result: ClassVar[type] = HubRows
    query: str
    author: str = ""
    kind: HubKind = ""
    order: HubOrder = "downloads"
    limit: int = 20
    """1 to 100."""


class HubFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file of a repository."""

    name: str
    size: int
    role: FileRole = "other"
    needed: bool = False
    """Whether a download takes it when nothing is chosen."""
    here: int = 0
    """Bytes that are on this disk already."""


class HubModel(msgspec.Struct, frozen=True, omit_defaults=True):
    """One repository at one commit."""

    id: str
    sha: str
    """The commit that the revision means now."""
    revision: str = "main"
    page: str = ""
    """Its address for a browser; there the terms of a gated model are accepted."""
    licence: str = ""
    gated: bool = False
    downloads: int = 0
    likes: int = 0
    updated: float = 0.0
    tags: tuple[str, ...] = ()
    kind: HubKind = ""
    files: tuple[HubFile, ...] = ()
    """The needed ones first, then by name; at most 1000."""
    choices: tuple[str, ...] = ()
    """GGUF files to choose one of, smallest first, where nothing is needed by itself."""
    total: int = 0
    """Bytes of the needed files."""
    here: int = 0
    """Bytes of them that are on this disk already."""
    free: int = 0
    """Bytes free on the disk of the cache, the reserve taken off."""
    why: str = ""
    """One sentence when nothing can be downloaded, or something has to be chosen."""
    card: str = ""
    """README.md, at most 200 KB."""
    card_cut: bool = False


class ShowHubModel(Command, frozen=True, tag=True):
    """One model's card, files and sizes. Asks the network."""

    Result: ClassVar[type] = HubModel
    id: str
    revision: str = ""
    """A branch, tag or commit; empty is `main`."""


# --- downloads ------------------------------------------------------------------------------


class DownloadInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """One download, whole or under way."""

    id: str
    model: str
    """Hub id."""
    revision: str
    """As it was asked for."""
    sha: str
    """The commit that it is pinned to."""
    state: DownloadState = "queued"
    files: tuple[str, ...] = ()
    files_done: int = 0
    file: str = ""
    """Under way now."""
    total: int = 0
    """Bytes."""
    done: int = 0
    """Bytes on the disk, those found there at the start included."""
    speed: float = 0.0
    """Bytes a second over the last seconds; 0 is unknown."""
    eta_s: float | None = None
    error: ErrorInfo | None = None
    """Why it failed, or why it waits."""
    retry_at: float = 0.0
    """Unix time of the next try while it waits."""
    created: float = 0.0
    ended: float = 0.0
    folder: str = ""
    """Of the snapshot, once done."""

    @property
    def live(self) -> bool:
        """Whether it is still to be done or going on."""
        return self.state in UNDER_WAY


class DownloadList(msgspec.Struct, frozen=True):
    downloads: tuple[DownloadInfo, ...]


class StartDownload(Command, frozen=True, tag=True):
    """Fetch a model into the Hugging Face cache, or go on with what was left of it. Asks the network.

    Answered once the commit is pinned, the disk has room and the download is on the list.
    """

    Result: ClassVar[type] = DownloadInfo
    model: str
    revision: str = ""
    files: tuple[str, ...] = ()
    """Empty: the needed ones. Else one GGUF file (its other parts come along), or names of the list."""


class CancelDownload(Command, frozen=True, tag=True):
    """Stop a download. What came stays on the disk and is used when it is started again."""

    Result: ClassVar[type] = DownloadInfo
    download: str
    """Its id, or the model's when only one of it is there."""
    keep: bool = True
    """False drops what came of unfinished files, and forgets the download."""


class ListDownloads(Command, frozen=True, tag=True):
    """Downloads under way, cancelled and failed, and those done since the engine started; newest first."""

    Result: ClassVar[type] = DownloadList


# --- the cache ------------------------------------------------------------------------------


class CachedRevision(msgspec.Struct, frozen=True, omit_defaults=True):
    sha: str
    refs: tuple[str, ...] = ()
    size: int = 0
    """Bytes; files that other revisions hold too are counted in each."""


class Freed(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a deletion from the cache takes."""

    model: str
    revisions: tuple[CachedRevision, ...] = ()
    size: int = 0
    """Bytes that the disk has more afterwards; what other revisions share stays."""
    partial: int = 0
    """Of these, what was left of unfinished downloads."""
    deleted: bool = False
    """False: only looked."""


class DeleteCached(Command, frozen=True, tag=True):
    """Delete a hub model from this machine's cache, one revision or all. Cannot be undone."""

    Result: ClassVar[type] = Freed
    model: str
    revision: str = ""
    """A commit, its start, or a branch; empty is all of it."""
    dry: bool = False
    """Only say what would be freed."""
