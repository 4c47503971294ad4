"""Answers the commands about files that travel."""

from __future__ import annotations

import logging
from pathlib import Path

from engine.lanes import Lane
from engine.parcels import depot, exports, folders, handed, taking
from engine.protocol import parcels as p
from engine.protocol.errors import EngineError, fault
from engine.protocol.runs import RunInfo
from engine.runs import folder
from engine.runs.faults import unwritten
from engine.runs.runner import Runner

log = logging.getLogger(__name__)


class Parcels:
    """Used from the loop's thread; files are touched in a lane of its own, because hashing takes a while."""

    def __init__(self, runner: Runner, disk: Lane) -> None:
        self._runner = runner
        self._disk = disk
        self._lane = Lane("parcels")

    def close(self) -> None:
        """Take nothing more."""
        self._lane.close()

    async def has(self, command: p.HasFile) -> p.Parcel:
        """How much of a file is here. Raises EngineError."""
        return await self._lane.run(depot.look, command)

    async def put(self, command: p.PutPart) -> p.Parcel:
        """Take a part. Raises EngineError."""
        return await self._lane.run(depot.put, command)

    async def files(self, command: p.ListFiles) -> p.FileList:
        """What can be read of a run or an export. Raises EngineError."""
        try:
            if command.owner == "run":
                info = self._runner.book.find(command.of)
                listed = await self._lane.run(handed.of_run, folder.folder(info.id))
                return p.FileList("run", info.id, listed, info)
            listed = await self._lane.run(handed.of_export, self._root(command.owner, command.of))
            return p.FileList("export", command.of, listed)
        except OSError as error:
            raise fault(
                "file_unknown", "The files cannot be listed", error.strerror or str(error), "Try again"
            ) from error

    async def read(self, command: p.ReadFile) -> p.FilePart:
        """A part of a file. Raises EngineError `file_unknown`."""
        root = self._root(command.owner, command.of)
        return p.FilePart(
            await self._lane.run(handed.read, root, command.name, command.offset, command.limit)
        )

    async def keep(self, command: p.KeepRun) -> RunInfo:
        """Make a run of elsewhere one of ours. Raises EngineError."""
        taking.check(command)
        earlier = [info for info in self._runner.book.infos() if info.origin == command.origin]
        for info in earlier:
            if await self._lane.run(_same, info, command):
                await self._lane.run(_let_go, command)
                return info
        files = await self._lane.run(taking.gather, command.files)
        try:
            info = await self._lane.run(
                folder.create,
                taking.at_rest(command),
                lambda place, info: taking.fill(place, info, files),
            )
        except OSError as error:
            raise unwritten("the run", folder.runs_dir(), error) from error
        self._runner.book.tell(info)
        for each in earlier:
            await self._runner.book.delete(each.id)
        await self._lane.run(_let_go, command)
        await self._runner.adapters.refresh()
        return self._runner.book.find(info.id)

    async def names(self, command: p.ListFolder) -> p.FolderPage:
        """Completions of a typed path."""
        return await self._disk.run(folders.names, command)

    async def named(self, command: p.ReadNamed) -> p.NamedPart:
        """A part of a file that a person named. Raises EngineError `not_attached`."""
        return await self._disk.run(folders.read, command)

    async def forget(self) -> None:
        """Drop what nobody needs any more."""
        specs = [info.spec for info in self._runner.infos()]
        used = {path for spec in specs for path in (spec.data, spec.eval_data, spec.reward)}
        try:
            await self._lane.run(depot.forget, used)
            await self._lane.run(exports.forget)
        except (EngineError, OSError):
            log.warning("old files were not looked through", exc_info=True)

    def _root(self, owner: p.Owner, of: str) -> Path:
        if owner == "run":
            return folder.folder(self._runner.book.find(of).id)
        return exports.folder_of(of)


def _same(info: RunInfo, command: p.KeepRun) -> bool:
    try:
        return taking.same(info, command)
    except (OSError, EngineError):
        return False


def _let_go(command: p.KeepRun) -> None:
    for each in command.files:
        depot.drop(each.sha256)
