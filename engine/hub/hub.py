"""Answers the commands about the hub: questions in one lane, downloads one after another in another."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from msgspec.structs import replace

from engine.bus import Bus
from engine.chatbook import new_id
from engine.hub import files as rules
from engine.hub import ledger, places, steps
from engine.hub.faults import Stopped, disk_full, offline, revision_gone
from engine.hub.job import Job
from engine.hub.ledger import Entry
from engine.lanes import Lane
from engine.protocol import commands as c
from engine.protocol.errors import EngineError, ErrorInfo, fault
from engine.protocol.events import DownloadChanged, DownloadGone, DownloadProgress
from engine.protocol.hub import DownloadInfo, Freed, HubModel, HubRows
from engine.shelf import Shelf

log = logging.getLogger(__name__)
DONE_KEPT = 20
"""Downloads that are done and stay on the list until the engine ends."""
CLOSE_SECONDS = 1.0
LET_GO_SECONDS = 25.0
"""That a cancelled download may wait for a line that is dead, before its files are dropped."""
T = TypeVar("T")


class Hub:
    """Used from the loop's thread. Nothing goes out but for a command, or a download that one has begun."""

    def __init__(self, bus: Bus, shelf: Shelf, disk: Lane) -> None:
        self._bus = bus
        self._shelf = shelf
        self._disk = disk
        # Read before the model thread switches the libraries of this process offline.
        self._offline = places.asked_offline()
        self._questions = Lane("hub")
        self._lane = Lane("downloads")
        self._entries: dict[str, Entry] = {}
        self._jobs: dict[str, Job] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._starting = asyncio.Lock()

    # --- life -------------------------------------------------------------------------------

    async def open(self) -> None:
        """Go on with what an earlier engine left unfinished."""
        for entry in await self._disk.run(ledger.load):
            self._entries[entry.info.id] = entry
            if not entry.info.live:
                continue
            if self._offline:
                self._entries[entry.info.id] = _with(entry, state="failed", error=offline().info, speed=0.0)
            else:
                self._begin(_with(entry, state="queued", error=None, speed=0.0, eta_s=None))

    async def close(self) -> None:
        """Stop what runs; the list on the disk says that the next engine goes on with it."""
        for job in self._jobs.values():
            job.stop.set()
        deadline = time.monotonic() + CLOSE_SECONDS
        while self._jobs and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        for task in self._tasks.values():
            task.cancel()
        self._questions.close()
        self._lane.close()

    @property
    def busy(self) -> bool:
        """Whether a download is under way."""
        return bool(self._jobs)

    @property
    def at_work(self) -> bool:
        """Whether the lane still holds files, those of a download that was cancelled too."""
        return bool(self._tasks)

    def infos(self) -> tuple[DownloadInfo, ...]:
        """Newest first."""
        found = (entry.info for entry in self._entries.values())
        return tuple(sorted(found, key=lambda info: info.created, reverse=True))

    # --- questions --------------------------------------------------------------------------

    async def search(self, command: c.SearchHub) -> HubRows:
        """Raises EngineError `hub_*`."""
        return HubRows(await self._ask(steps.search, command))

    async def show(self, command: c.ShowHubModel) -> HubModel:
        """Raises EngineError `hub_*`."""
        model, revision = places.checked_id(command.id), _checked_revision(command.id, command.revision)
        return await self._ask(steps.model, model, revision)

    async def _ask(self, question: Callable[..., T], *args: Any) -> T:
        if self._offline:
            raise offline()
        return await self._questions.run(question, *args)

    # --- downloads --------------------------------------------------------------------------

    async def listing(self, _: c.ListDownloads) -> c.DownloadList:
        return c.DownloadList(self.infos())

    async def start(self, command: c.StartDownload) -> DownloadInfo:
        """Pin, plan, store, queue. One that is there already is joined, or gone on with."""
        model, revision = places.checked_id(command.model), _checked_revision(command.model, command.revision)
        repo = await self._ask(steps.repo, model, revision)
        files = rules.chosen(model, repo.files, command.files)
        async with self._starting:
            info = DownloadInfo(
                id=new_id(),
                model=model,
                revision=revision or places.branch(model),
                sha=repo.sha,
                files=tuple(file.name for file in files),
                total=sum(file.size for file in files),
                created=time.time(),
            )
            old = self._same(info)
            if old is not None and old.info.live:
                return old.info
            here = await self._disk.run(steps.here, info, files)
            free = await self._disk.run(places.free_bytes)
            if info.total - here > free:
                raise disk_full(info.total - here, free)
            info = replace(info, id=old.info.id if old is not None else info.id, done=here)
            entry = Entry(info, files)
            before = self._entries
            self._entries = {**before, info.id: entry}
            try:
                await self._save()
            except EngineError:
                self._entries = before
                raise
            self._begin(entry)
        return info

    async def cancel(self, command: c.CancelDownload) -> DownloadInfo:
        """Raises EngineError `download_unknown` or `download_done`."""
        entry = self._find(command.download)
        if entry.info.state == "done" and command.keep:
            raise fault("download_done", f"The download of {entry.info.model} is done already")
        job = self._jobs.pop(entry.info.id, None)
        if job is not None:
            job.stop.set()
        entry = _with(entry, state="cancelled", error=None, speed=0.0, eta_s=None, ended=time.time())
        self._entries[entry.info.id] = entry
        if not command.keep:
            self._forget(entry.info.id)
            if job is not None and job.begun:
                await asyncio.wait({self._tasks[entry.info.id]}, timeout=LET_GO_SECONDS)
            await self._disk.run(steps.drop, entry)
        await self._saved_anyhow()
        if command.keep:
            self._bus.publish(DownloadChanged(entry.info))
        return entry.info

    def _forget(self, id_: str) -> None:
        del self._entries[id_]
        self._bus.publish(DownloadGone(id_))

    async def delete(self, command: c.DeleteCached) -> Freed:
        """Raises EngineError `model_in_use`, `download_under_way` or what engine.hub.cache raises."""
        model, revision = places.checked_id(command.model), command.revision.strip()
        if command.dry:
            return await self._disk.run(steps.delete, model, revision, True)
        async with self._starting:
            self._refuse_in_use(model)
            freed = await self._disk.run(steps.delete, model, revision, False)
        for entry in [each for each in self._entries.values() if each.info.model == model]:
            if not revision or entry.info.state == "done":
                self._forget(entry.info.id)
        await self._saved_anyhow()
        await self._look_again()
        return freed

    async def _look_again(self) -> None:
        """Let the shelf see what the disk holds now, and tell what it holds no more."""
        await self._shelf.refresh_and_tell()

    def _refuse_in_use(self, model: str) -> None:
        folder = places.repo_folder(model)
        for known in self._shelf.infos():
            if known.id != model and not known.path.startswith(f"{folder}/"):
                continue
            if known.id == self._shelf.trained():
                raise fault(
                    "model_in_use", f"A run trains on {known.name} now", remedy="Stop the run first, or wait"
                )
            if known.state != "available":
                raise fault(
                    "model_in_use",
                    f"{known.name} is loaded",
                    remedy=f"Unload it first: `qwill models unload {known.id}`",
                )
        if any(entry.info.model == model and entry.info.live for entry in self._entries.values()):
            raise fault(
                "download_under_way", f"{model} is being downloaded", remedy="Cancel the download first"
            )

    # --- one after another ------------------------------------------------------------------

    def _begin(self, entry: Entry) -> None:
        """Queue a download that is on the list."""
        loop = asyncio.get_running_loop()
        info = entry.info
        job = Job(entry, lambda now, whole: loop.call_soon_threadsafe(self._told, job, now, whole))
        self._jobs[info.id] = job
        self._keep(entry)
        self._tasks[info.id] = asyncio.create_task(self._run(job, info.id))

    async def _run(self, job: Job, id_: str) -> None:
        """Wait for the lane, and keep how it ended."""
        try:
            done = await self._lane.run(steps.work, job)
            if not job.stop.is_set():
                await self._shelf.refresh_and_tell()
                self._keep(Entry(replace(done, ended=time.time()), self._entries[id_].files))
                await self._saved_anyhow()
        except Stopped:
            return
        except EngineError as error:
            await self._ended(job, id_, error.info)
        except Exception as error:  # the edge of a worker: this download fails, the next one runs
            log.exception("a download failed")
            await self._ended(job, id_, _unforeseen(error))
        finally:
            if self._jobs.get(id_) is job:
                del self._jobs[id_]
            if self._tasks.get(id_) is asyncio.current_task():
                del self._tasks[id_]

    async def _ended(self, job: Job, id_: str, error: ErrorInfo) -> None:
        entry = self._entries.get(id_)
        if entry is not None and not job.stop.is_set():
            self._keep(_with(entry, state="failed", error=error, speed=0.0, eta_s=None, ended=time.time()))
            await self._saved_anyhow()

    def _told(self, job: Job, info: DownloadInfo, whole: bool) -> None:
        """What the lane says of a download, as long as nobody stopped it."""
        entry = self._entries.get(info.id)
        if entry is None or job.stop.is_set() or self._jobs.get(info.id) is not job or info.state == "done":
            return  # the end is told once it is stored
        if whole:
            self._keep(Entry(info, entry.files))
        else:
            self._entries[info.id] = Entry(info, entry.files)
            self._bus.publish(DownloadProgress(info))

    def _keep(self, entry: Entry) -> None:
        self._entries[entry.info.id] = entry
        self._bus.publish(DownloadChanged(entry.info))

    # --- the list ---------------------------------------------------------------------------

    async def _save(self) -> None:
        done = [info.id for info in self.infos() if info.state == "done"]
        for old in done[DONE_KEPT:]:
            self._entries.pop(old, None)
        unfinished = tuple(entry for entry in self._entries.values() if entry.info.state != "done")
        await self._disk.run(ledger.save, unfinished)

    async def _saved_anyhow(self) -> None:
        """An old list on the disk costs a look at files that are there: no reason to fail what is done."""
        try:
            await self._save()
        except EngineError as error:
            log.warning("%s", error.info.sentence())

    def _same(self, wanted: DownloadInfo) -> Entry | None:
        """A download of the same files of the same commit."""
        same = (wanted.model, wanted.sha, wanted.files)
        known = self._entries.values()
        return next(
            (each for each in known if (each.info.model, each.info.sha, each.info.files) == same), None
        )

    def _find(self, ref: str) -> Entry:
        if ref in self._entries:
            return self._entries[ref]
        named = [entry for entry in self._entries.values() if entry.info.model == ref]
        live = [entry for entry in named if entry.info.live] or named
        if len(live) != 1:
            title = (
                f"There is more than one download of {ref}" if live else f"There is no download {ref[:80]}"
            )
            raise fault("download_unknown", title, remedy="See `qwill models downloads`")
        return live[0]


def _with(entry: Entry, **facts: Any) -> Entry:
    return replace(entry, info=replace(entry.info, **facts))


def _checked_revision(model: str, revision: str) -> str:
    """Raises EngineError `hub_revision_gone` for what cannot be the name of a revision."""
    if revision and not places.safe_name(revision):
        raise revision_gone(model, revision)
    return revision


def _unforeseen(error: Exception) -> ErrorInfo:
    return ErrorInfo(
        "download_failed",
        "The download failed in a way that was not foreseen",
        f"{type(error).__name__}: {error}"[:300],
        "Start it again; what came is kept. The engine's log has more",
    )
