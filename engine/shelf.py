"""The models: what is found on disk, what is loaded, and who may go when memory is short."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from msgspec.structs import replace

from engine.backend import Backend, LoadSpec
from engine.bus import Bus
from engine.lanes import Lane
from engine.models.discover import discover, find
from engine.models.folders import add_folder, load_folders
from engine.models.need import HEADROOM, weights_bytes
from engine.protocol.commands import ModelList
from engine.protocol.errors import EngineError, ErrorInfo, fault
from engine.protocol.events import ModelChanged, ModelLoading
from engine.protocol.specs import ModelInfo, Quant

TOLD = 0.02
"""Progress of a load that is worth an event."""


class Shelf:
    """Every model known to the engine. Used from the loop's thread; the loading runs in the model lane."""

    def __init__(self, bus: Bus, lane: Lane, disk: Lane, watched: Callable[[], bool]) -> None:
        self._bus = bus
        self._lane = lane
        self._disk = disk
        self._watched = watched
        """Whether a person sits at a workbench, whose model is not evicted without asking."""
        self._models: dict[str, ModelInfo] = {}
        self._loads: dict[str, tuple[asyncio.Task[ModelInfo], threading.Event]] = {}
        self._used: dict[str, float] = {}
        self.trained: Callable[[], str] = lambda: ""
        """Id of the model that a run trains on, which stays whatever else is asked for."""
        self.load_dtype: Callable[[], str] = lambda: ""
        """What torch loads in when nothing is asked for; empty until torch has said so."""
        self.backend: asyncio.Future[Backend] = asyncio.get_running_loop().create_future()

    # --- what there is ----------------------------------------------------------------------

    def infos(self) -> tuple[ModelInfo, ...]:
        return tuple(self._models.values())

    async def refresh(self) -> ModelList:
        """Look at the disk again; what is loaded keeps its state."""
        where = await self._disk.run(load_folders)
        found = await self._disk.run(discover, where)
        kept = {m.id: m for m in self._models.values() if m.state != "available"}
        self._models = {m.id: kept.pop(m.id, m) for m in found} | kept
        return ModelList(self.infos(), tuple(str(path) for path in where))

    async def listing(self, *, refresh: bool) -> ModelList:
        """All models; looks at the disk first when asked to, or when nobody has yet."""
        if refresh or not self._models:
            return await self.refresh_and_tell()
        return ModelList(self.infos(), tuple(str(path) for path in await self._disk.run(load_folders)))

    async def refresh_and_tell(self) -> ModelList:
        """Refresh, and publish every model."""
        listing = await self.refresh()
        for model in listing.models:
            self._bus.publish(ModelChanged(model))
        return listing

    async def add_folder(self, path: str) -> ModelList:
        """Look there too, from now on."""
        await self._disk.run(add_folder, Path(path).expanduser())
        return await self.refresh_and_tell()

    async def find(self, ref: str) -> ModelInfo:
        """By id, name or folder; raises EngineError `model_not_found`."""
        if not self._models:
            await self.refresh()
        if ref in self._models:
            return self._models[ref]
        found = await self._disk.run(find, ref, list(self._models.values()))
        return self._models.setdefault(found.id, found)

    # --- loading ----------------------------------------------------------------------------

    async def ready(
        self, ref: str, *, dtype: str = "", quant: Quant | None = None, evict: bool = False
    ) -> ModelInfo:
        """The model, loaded. Joins a load that is under way. Raises EngineError with the reason.

        Empty `dtype` and no `quant` take a loaded model as it is.
        """
        model = await self.find(ref)
        self._used[model.id] = time.monotonic()
        if model.state == "ready" and dtype in ("", model.load_dtype) and quant in (None, model.quant):
            return model
        load = self._loads.get(model.id)
        if load is None:
            if model.support == "unsupported":
                raise fault("model_unsupported", f"{model.name} cannot be loaded", model.why)
            if model.state == "ready":
                if self._watched() and not evict:
                    raise fault(
                        "would_evict",
                        f"{model.name} is loaded as {model.load_dtype}, and an open workbench uses it",
                        remedy="Allow to load it again with --evict, or leave dtype and quantisation out",
                    )
                await self.unload(model.id)
                model = self._models[model.id]
            await self._make_room(model, dtype, evict=evict)
            load = self._start(model, dtype, quant or "")
        # Shielded: the load belongs to all who wait for it, and ends by `unload` alone.
        return await asyncio.shield(load[0])

    async def unload(self, ref: str) -> None:
        """Drop a loaded model, or cancel its load."""
        model = await self.find(ref)
        load = self._loads.get(model.id)
        if load is not None:
            load[1].set()
            return
        if model.state == "ready":
            backend = await self.backend
            await self._lane.run(backend.unload, model.id)
            self._change(replace(model, state="available", memory=0, progress=0.0, load_dtype="", quant=""))

    def _start(
        self, model: ModelInfo, dtype: str, quant: Quant
    ) -> tuple[asyncio.Task[ModelInfo], threading.Event]:
        cancelled = threading.Event()
        task = asyncio.create_task(self._load(LoadSpec(model, dtype, quant), cancelled))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._loads[model.id] = (task, cancelled)
        return self._loads[model.id]

    async def _load(self, spec: LoadSpec, cancelled: threading.Event) -> ModelInfo:
        loop, model = asyncio.get_running_loop(), spec.model
        self._change(replace(model, state="loading", progress=0.0))

        def progress(fraction: float, phase: str) -> None:
            loop.call_soon_threadsafe(self._progressed, model.id, fraction, phase)

        try:
            backend = await self.backend
            loaded = await self._lane.run(backend.load, spec, progress, cancelled)
        except EngineError as error:
            self._change(replace(model, state="available"), error.info)
            raise
        finally:
            self._loads.pop(model.id, None)
        self._change(loaded)
        return loaded

    def _progressed(self, model: str, fraction: float, phase: str) -> None:
        known = self._models.get(model)
        if known is not None and known.state == "loading" and abs(fraction - known.progress) >= TOLD:
            self._models[model] = replace(known, progress=fraction)
            self._bus.publish(ModelLoading(model, fraction, phase))

    def _change(self, model: ModelInfo, error: ErrorInfo | None = None) -> None:
        self._models[model.id] = model
        self._bus.publish(ModelChanged(model, error))

    # --- room -------------------------------------------------------------------------------

    async def _make_room(self, model: ModelInfo, dtype: str, *, evict: bool) -> None:
        """Unload the longest unused others until the weights fit the memory that is free."""
        need = weights_bytes(model, dtype or self.load_dtype()) + HEADROOM
        others = sorted(
            (
                m
                for m in self._models.values()
                if m.state == "ready" and m.id not in (model.id, self.trained())
            ),
            key=lambda m: self._used.get(m.id, 0.0),
        )
        free = psutil.virtual_memory().available
        if need > free + sum(m.memory for m in others):
            raise fault(
                "model_too_large",
                f"{model.name} does not fit: it needs about {_gib(need)}, {_gib(free)} are free",
                remedy="Close other programs, or choose a smaller model",
            )
        for other in others:
            if need <= free:
                return
            if self._watched() and not evict:
                raise fault(
                    "would_evict",
                    f"{model.name} fits only when {other.name} is unloaded, which an open workbench uses",
                    remedy="Allow it with --evict, or unload it first",
                )
            await self.unload(other.id)
            free += other.memory


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB"
