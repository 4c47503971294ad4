"""Proves and exports adapters: beside the live model, with progress, and so that it can be stopped."""

from __future__ import annotations

import asyncio
import shutil
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from engine.adapter_works import AdapterWorks, ExportJob, ProofSpec, Written
from engine.bus import Bus
from engine.lanes import Lane
from engine.parcels import exports
from engine.protocol.adapters import (
    Check,
    ExportAdapter,
    Exported,
    Proof,
    ProveAdapter,
    StopExport,
    UndoExport,
)
from engine.protocol.command import Done
from engine.protocol.errors import fault
from engine.protocol.events import ExportMoved
from engine.protocol.runs import AdapterInfo
from engine.protocol.specs import ModelInfo
from engine.runs.adapters import Adapters
from engine.shelf import Shelf

TOLD = 0.02
"""Progress that is worth an event."""
HEAVIEST = 2.0
_LIVE_CHECKED = ("peft", "vllm")


class Exporting:
    """One export at a time. Used from the loop's thread."""

    def __init__(self, bus: Bus, shelf: Shelf, adapters: Adapters, lane: Lane) -> None:
        """`lane`: the model's, in which replies run too."""
        self._bus = bus
        self._shelf = shelf
        self._adapters = adapters
        self._lane = lane
        self._export_lane = Lane("export")
        self._turn = asyncio.Lock()
        self._under_way: dict[str, threading.Event] = {}
        self._done: dict[str, Exported] = {}

    @property
    def busy(self) -> bool:
        """Whether an export is under way."""
        return bool(self._under_way)

    def close(self) -> None:
        """Stop what is under way; nothing of it is kept."""
        for event in self._under_way.values():
            event.set()
        self._export_lane.close()

    async def prove(self, command: ProveAdapter) -> Proof:
        """What an adapter changes. Raises EngineError."""
        _check_weight(command.weight)
        model, adapter = await self._who(command.adapter, command.model, evict=command.evict)
        works = await self._works()
        cancelled = threading.Event()
        spec = ProofSpec(model, adapter, command.weight, command.prompt)
        try:
            return await self._lane.run(works.prove, spec, cancelled)
        finally:
            cancelled.set()  # the client may have left while the lane was at it

    async def export(self, command: ExportAdapter) -> Exported:
        """Write, compare with the live model, put in place. Raises EngineError."""
        _check_weight(command.weight)
        job_id = command.job or uuid.uuid4().hex
        command = replace(command, target=exports.placed(command.target, job_id))
        _check_target(command)
        if job_id in self._under_way:
            raise fault("export_runs", "An export of this name is under way already")
        cancelled = threading.Event()
        self._under_way[job_id] = cancelled
        try:
            async with self._turn:
                exported = await self._export(command, job_id, cancelled)
        finally:
            cancelled.set()
            self._under_way.pop(job_id, None)
        self._done[job_id] = exported
        return exported

    async def stop(self, command: StopExport) -> Done:
        """Raises EngineError `export_ended`."""
        event = self._under_way.get(command.job)
        if event is None:
            raise fault("export_ended", "This export has ended already")
        event.set()
        return Done()

    async def undo(self, command: UndoExport) -> Done:
        """Raises EngineError `export_unknown`, `target_unwritable`."""
        exported = self._done.pop(command.job, None)
        if exported is None or not exported.path:
            raise fault("export_unknown", "There is no such export to take back")
        try:
            await self._export_lane.run(_take_back, exported)
        except OSError as error:
            raise fault(
                "target_unwritable", "The export could not be taken back", error.strerror or str(error)
            ) from error
        return Done()

    async def _export(self, command: ExportAdapter, job_id: str, cancelled: threading.Event) -> Exported:
        model, adapter = await self._who(command.adapter, command.model, evict=command.evict)
        works = await self._works()
        job = ExportJob(
            job_id,
            command.form,
            adapter,
            model,
            command.target,
            command.weight,
            command.gguf,
            command.name,
            command.replace,
        )
        progress = self._progress(job)
        written = await self._export_lane.run(works.write, job, progress, cancelled)
        try:
            check = await self._check(works, job, written, progress, cancelled)
            if cancelled.is_set():
                raise fault("cancelled", "The export was stopped; nothing of it is kept")
            exported = await self._export_lane.run(works.finish, job, written, check)
        except BaseException:
            self._export_lane.run(works.drop, written)
            raise
        self._tell(job, 1.0, "done")
        return exported

    async def _check(
        self,
        works: AdapterWorks,
        job: ExportJob,
        written: Written,
        progress: _Telling,
        cancelled: threading.Event,
    ) -> Check:
        if not written.path:
            return Check(words="Nothing was written, so nothing was compared")
        self._tell(job, 0.8, "asking the live model")
        spec = ProofSpec(job.model, job.adapter, job.weight)
        told = await self._lane.run(works.reference, spec, cancelled)
        if job.form in _LIVE_CHECKED:
            return await self._lane.run(works.check_live, job, written, told)
        return await self._export_lane.run(works.check, job, written, told, progress, cancelled)

    async def _who(self, ref: str, model_ref: str, *, evict: bool) -> tuple[ModelInfo, AdapterInfo]:
        """The adapter and its model, loaded. Raises EngineError."""
        model = await self._shelf.find(model_ref or await self._adapters.base_of(ref))
        adapter = await self._adapters.resolve(ref, model)
        return await self._shelf.ready(model.id, evict=evict), adapter

    async def _works(self) -> AdapterWorks:
        backend = await asyncio.shield(self._shelf.backend)
        return backend.adapters

    def _progress(self, job: ExportJob) -> _Telling:
        loop = asyncio.get_running_loop()
        return _Telling(lambda share, phase: loop.call_soon_threadsafe(self._tell, job, share, phase))

    def _tell(self, job: ExportJob, share: float, phase: str) -> None:
        self._bus.publish(ExportMoved(job.id, job.adapter.id, share, phase))


class _Telling:
    """Called with a share of 0 to 1 and a phase; passes on what is worth it. Used from one thread."""

    def __init__(self, tell: Callable[[float, str], object]) -> None:
        self._tell = tell
        self._last = (-1.0, "")

    def __call__(self, share: float, phase: str) -> None:
        if phase != self._last[1] or share - self._last[0] >= TOLD:
            self._last = (share, phase)
            self._tell(share, phase)


def _check_weight(weight: float) -> None:
    if not 0.0 <= weight <= HEAVIEST:
        raise fault("bad_weight", f"{weight:g} is no weight of an adapter", remedy="Give one between 0 and 2")


def _check_target(command: ExportAdapter) -> None:
    if not command.target and command.form == "vllm":
        return
    if not command.target.startswith("/") or "\x00" in command.target:
        raise fault("bad_target", "There is no folder to export to", remedy="Give the whole path of a folder")
    if command.target.endswith(".gguf") and command.form not in ("gguf", "gguf-lora"):
        raise fault("bad_target", f"{command.form} needs a folder, not a .gguf file")


def _take_back(exported: Exported) -> None:
    """Remove what was written, and bring back what was there before. Raises OSError."""
    path = Path(exported.path)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    if exported.kept:
        Path(exported.kept).rename(path)
