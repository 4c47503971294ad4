"""One file from the hub into the cache: begun where it was cut, checked by its hash, then put in place."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from huggingface_hub.utils import WeakFileLock

from engine.hub import places
from engine.hub.faults import Passing, Stopped, odd, unwritable, wrong_hash
from engine.hub.files import RepoFile
from engine.hub.web import Web

if TYPE_CHECKING:
    import httpx2

SPAN = 16 << 30
"""Bytes asked for at once: content networks refuse whole answers beyond 50 GB."""
READ = 1 << 20
LOCK_SECONDS = 1.0
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


class Fetch:
    """Fetches files of one commit. `came` is told the bytes of the present file that are on the disk."""

    def __init__(
        self, web: Web, model: str, sha: str, stop: threading.Event, came: Callable[[int], None]
    ) -> None:
        self._web = web
        self._model = model
        self._sha = sha
        self._stop = stop
        self._came = came

    def file(self, file: RepoFile) -> None:
        """Have the file's blob whole. Raises EngineError, Passing (try again) or Stopped.

        What came before is on the disk then, as `BLOB.incomplete`.
        """
        blob = places.repo_folder(self._model) / "blobs" / file.blob
        try:
            blob.parent.mkdir(parents=True, exist_ok=True)
            with self._locked(file.blob):
                if not _whole(blob, file.size):
                    self._blob(file, blob)
        except OSError as error:
            raise unwritable(error) from error
        self._came(file.size)

    @contextmanager
    def _locked(self, blob: str) -> Iterator[None]:
        """Alone with this blob among all programs that use huggingface_hub."""
        from filelock import Timeout

        lock = places.lock_path(self._model, blob)
        lock.parent.mkdir(parents=True, exist_ok=True)
        while True:
            if self._stop.is_set():
                raise Stopped
            held = WeakFileLock(lock, timeout=LOCK_SECONDS)
            try:
                held.__enter__()
            except Timeout:
                continue
            break
        try:
            yield
        finally:
            held.__exit__(None, None, None)

    def _blob(self, file: RepoFile, blob: Path) -> None:
        part = blob.with_name(f"{blob.name}.incomplete")
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            self._fill(file, descriptor, part)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(part, blob)

    def _fill(self, file: RepoFile, descriptor: int, part: Path) -> None:
        have = os.fstat(descriptor).st_size
        if have > file.size:
            os.ftruncate(descriptor, have := 0)
        digest = self._digest_of(file, descriptor, have)
        while have < file.size:
            have, digest = self._span(file, descriptor, have, digest)
        if digest.hexdigest() != file.blob:
            part.unlink(missing_ok=True)
            raise wrong_hash(self._model, file.name)

    def _digest_of(self, file: RepoFile, descriptor: int, have: int) -> _Hash:
        """The hash of what is there already."""
        digest = _fresh(file)
        os.lseek(descriptor, 0, os.SEEK_SET)
        while have > 0:
            if self._stop.is_set():
                raise Stopped
            data = os.read(descriptor, min(READ, have))
            digest.update(data)
            have -= len(data)
        return digest

    def _span(self, file: RepoFile, descriptor: int, have: int, digest: _Hash) -> tuple[int, _Hash]:
        """Ask for what is missing, a span at most; returns what is there then."""
        url, host = places.file_url(self._model, self._sha, file.name), places.host(self._model)
        wanted = {"range": f"bytes={have}-{min(have + SPAN, file.size) - 1}"}
        before = have
        with self._web.stream(url, model=self._model, what=file.name, headers=wanted) as response:
            start = _starts_at(response)
            if start not in (0, have):
                raise odd(f"Of {file.name[:120]} another part came than was asked for", host)
            if start != have:  # it knows no ranges: all of it comes from the start
                os.ftruncate(descriptor, have := 0)
                before, digest = 0, _fresh(file)
            os.lseek(descriptor, have, os.SEEK_SET)
            for data in response.iter_bytes():
                if have + len(data) > file.size:
                    os.ftruncate(descriptor, 0)
                    raise odd(f"{file.name[:120]} is longer than it was said to be; it was removed", host)
                _write(descriptor, data)
                digest.update(data)
                have += len(data)
                self._came(have)
                if self._stop.is_set():
                    raise Stopped
        if have == before:
            raise Passing(odd(f"Of {file.name[:120]} nothing came", host))
        return have, digest


def _starts_at(response: httpx2.Response) -> int:
    """The byte with which an answer begins."""
    if response.status_code != 206:
        return 0
    found = _RANGE.fullmatch(response.headers.get("content-range", "").strip())
    return int(found[1]) if found else -1


def _fresh(file: RepoFile) -> _Hash:
    return hashlib.sha256() if file.large else hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _whole(blob: Path, size: int) -> bool:
    try:
        return blob.stat().st_size == size
    except OSError:
        return False
