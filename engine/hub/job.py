"""One download in its lane: file after file, again after a pause when the line breaks, then in place."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from engine.files import write_atomic
from engine.hub import files as rules
from engine.hub import places
from engine.hub.faults import Passing, Stopped, disk_full, unwritable
from engine.hub.files import RepoFile
from engine.hub.ledger import Entry
from engine.protocol.hub import DownloadInfo

TOLD_SECONDS = 0.25
"""Between two reports of progress."""
PACE_SECONDS = 5.0
"""Over which the speed is reckoned."""
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 60.0, 60.0)
"""Seconds before each further try while not one byte comes; after the last it has failed."""

Tell = Callable[[DownloadInfo, bool], object]
"""Takes the download as it stands now, and whether more than its progress changed."""


class Job:
    """Runs in the lane; `stop` may be set from any thread."""

    def __init__(self, entry: Entry, tell: Tell) -> None:
        self.stop = threading.Event()
        self.begun = False
        self._entry = entry
        self._info = entry.info
        self._tell = tell
        self._pace: deque[tuple[float, int]] = deque()
        self._told = 0.0
        self._fails = 0

    def run(self) -> DownloadInfo:
        """Fetch all of it; returns the download as done. Raises EngineError, or Stopped."""
        self.begun = True
        if self.stop.is_set():
            raise Stopped
        files = self._entry.files
        self._change(state="running", error=None, retry_at=0.0)
        self._check_room()
        before = 0
        for number, file in enumerate(files):
            self._change(file=file.name, files_done=number, done=before + self._here(file))
            self._persist_in(file, before)
            before += file.size
        folder = self._put_in_place()
        self._change(
            state="done",
            file="",
            files_done=len(files),
            done=before,
            folder=str(folder),
            speed=0.0,
            eta_s=None,
        )
        return self._info

    def _here(self, file: RepoFile) -> int:
        return rules.here(self._info.model, self._info.sha, file)

    def _check_room(self) -> None:
        need = sum(file.size - self._here(file) for file in self._entry.files)
        free = places.free_bytes()
        if need > free:
            raise disk_full(need, free)

    def _persist_in(self, file: RepoFile, before: int) -> None:
        """Fetch one file, however often the line breaks, as long as bytes come in between."""
        # Here, in the lane: they import huggingface_hub.
        from engine.hub.fetch import Fetch
        from engine.hub.web import Web

        with Web() as web:
            fetch = Fetch(
                web, self._info.model, self._info.sha, self.stop, lambda have: self._came(before + have)
            )
            while True:
                try:
                    fetch.file(file)
                    return
                except Passing as passing:
                    self._pause(passing)

    def _pause(self, passing: Passing) -> None:
        """Wait for the next try. Raises the error itself when there have been enough, or Stopped."""
        if self._fails >= len(PAUSES):
            raise passing.error
        seconds = max(PAUSES[self._fails], passing.wait)
        self._fails += 1
        self._pace.clear()
        self._change(
            state="waiting", error=passing.error.info, retry_at=time.time() + seconds, speed=0.0, eta_s=None
        )
        if self.stop.wait(seconds):
            raise Stopped
        self._change(state="running", error=None, retry_at=0.0)

    def _came(self, done: int) -> None:
        """Reckon the speed, and tell it now and then."""
        now = time.monotonic()
        if done > self._info.done:
            self._fails = 0
        self._pace.append((now, done))
        while now - self._pace[0][0] > PACE_SECONDS and len(self._pace) > 2:
            self._pace.popleft()
        if now - self._told < TOLD_SECONDS:
            self._info = replace(self._info, done=done)
            return
        self._told = now
        since, first = self._pace[0]
        speed = max(0.0, (done - first) / (now - since)) if now > since else 0.0
        left = (self._info.total - done) / speed if speed else None
        self._info = replace(self._info, done=done, speed=speed, eta_s=left)
        self._tell(self._info, False)

    def _change(self, **facts: object) -> None:
        self._info = replace(self._info, **facts)
        if not self.stop.is_set():
            self._tell(self._info, True)

    def _put_in_place(self) -> Path:
        """Let the snapshot hold all files, then the revision mean it: half a model is never to be seen."""
        repo = places.repo_folder(self._info.model)
        folder = repo / "snapshots" / self._info.sha
        try:
            for file in self._entry.files:
                _link(repo / "blobs" / file.blob, folder / file.name, len(Path(file.name).parts) - 1)
            if self._info.revision != self._info.sha:
                reference = repo / "refs" / self._info.revision
                reference.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(reference, self._info.sha.encode())
        except OSError as error:
            raise unwritable(error) from error
        return folder


def _link(blob: Path, place: Path, depth: int) -> None:
    """A relative link as huggingface_hub makes it; the file itself where the file system knows no links."""
    if place.exists() and place.stat().st_size == blob.stat().st_size:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    try:
        place.symlink_to(Path(*[os.pardir] * (2 + depth), "blobs", blob.name))
    except OSError:
        shutil.move(blob, place)
