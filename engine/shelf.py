"""The models: what is found on disk, what is loaded, and who may go when memory is short."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from engine import holdings
from engine.answering import Answering
from engine.backend import Backend, LoadSpec
from engine.bus import Bus
from engine.keep_alive import KeepAlive
from engine.lanes import Lane
from engine.measuring import Measuring
from engine.models.discover import discover, find
from engine.models.fit import weights_bytes
from engine.models.folders import add_folder, load_folders
from engine.protocol.commands import ModelList
from engine.protocol.errors import EngineError, ErrorInfo, fault
from engine.protocol.events import ModelChanged, ModelGone, ModelLoading
from engine.protocol.fit import EstimateFit, FitEstimate, FitRules
from engine.protocol.specs import DeviceFinding, ModelInfo, Quant
from engine.room import Room
from engine.servers.known import Known
from engine.settings_writing import set_number

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
        self._specs: dict[str, LoadSpec] = {}
        """Of the loads under way."""
        self._asked: dict[str, tuple[str, Quant]] = {}
        """Dtype and quantisation as a model was loaded last: whoever uses it again finds it so."""
        self.alive = KeepAlive(watched)
        self._room = Room(disk)
        self._measuring = Measuring(disk)
        self.trained: Callable[[], str] = lambda: ""
        """Id of the model that a run trains on, which stays whatever else is asked for."""
        self.learned: Callable[[FitRules], None] = lambda _: None
        """Told what fit estimates go by, whenever that has changed."""
        self.backend: asyncio.Future[Backend] = asyncio.get_running_loop().create_future()
        self.servers = Known()
        self.answering = Answering(self.backend, lane, self.servers)

    # --- what there is ----------------------------------------------------------------------

    def infos(self) -> tuple[ModelInfo, ...]:
        return tuple(self._models.values())

    def known(self, model: str) -> ModelInfo | None:
        """A model by its id, if it was found already."""
        return self._models.get(model)

    async def refresh(self) -> ModelList:
        """Look at the disk again; what is loaded keeps its state."""
        where = await self._disk.run(load_folders)
        found = await self._disk.run(discover, where)
        kept = {m.id: m for m in self._models.values() if m.state != "available" and self.servers.keeps(m)}
        here = {m.id: kept.pop(m.id, m) for m in found} | kept
        self._models = {m.id: m for m in self.servers.models()} | here
        return ModelList(self.infos(), tuple(str(path) for path in where))

    async def listing(self, *, refresh: bool) -> ModelList:
        """All models; looks at the disk first when asked to, or when nobody has yet."""
        if refresh or not self._models:
            return await self.refresh_and_tell()
        return ModelList(self.infos(), tuple(str(path) for path in await self._disk.run(load_folders)))

    async def refresh_and_tell(self) -> ModelList:
        """Refresh, the servers too, and publish every model."""
        await asyncio.wrap_future(self.servers.look())
        before = set(self._models)
        listing = await self.refresh()
        for model in listing.models:
            self._bus.publish(ModelChanged(model))
        for gone in before - set(self._models):
            self._bus.publish(ModelGone(gone))
        return listing

    async def look_at_servers(self) -> None:
        """Ask the servers for their models, and publish what is new."""
        for model in await asyncio.wrap_future(self.servers.look()):
            if model.id not in self._models:
                self._change(model)

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
        if await asyncio.wrap_future(self.servers.may_have(ref)):
            await self.look_at_servers()
            if ref in self._models:
                return self._models[ref]
        found = await self._disk.run(find, ref, list(self._models.values()))
        return self._models.setdefault(found.id, found)

    # --- loading ----------------------------------------------------------------------------

    @property
    def loading(self) -> bool:
        """Whether a load is under way."""
        return bool(self._loads)

    async def ready(
        self, ref: str, *, dtype: str = "", quant: Quant | None = None, evict: bool = False
    ) -> ModelInfo:
        """The model, loaded. Joins a load that is under way. Raises EngineError with the reason.

        Empty `dtype` and no `quant` take a loaded model as it is, and load another one as it was last.
        """
        model = await self.find(ref)
        self.alive.used(model.id)
        if model.state == "ready" and _held_so(model, dtype, quant):
            return model
        load = self._loads.get(model.id)
        if load is None:
            self._refuse(model, evict=evict)
            if not dtype and quant is None:
                dtype, quant = self._asked.get(model.id, ("", ""))
            load = self._start(LoadSpec(model, dtype, quant or ""), evict=evict)
        # Shielded: the load belongs to all who wait for it, and ends by `unload` alone.
        return await asyncio.shield(load[0])

    async def unload(self, ref: str) -> None:
        """Drop a loaded model, or cancel its load."""
        model = await self.find(ref)
        load = self._loads.get(model.id)
        if load is not None:
            load[1].set()
        elif model.state == "ready":
            await self._drop(model)

    async def expire(self) -> None:
        """Unload idle models, again and again, until cancelled."""
        await self.alive.work(self._idle, self.unload)

    def _idle(self) -> list[str]:
        """Loaded models that a run does not train on and that hold memory here."""
        loaded = (model for model in self._models.values() if model.state == "ready" and model.memory)
        return [model.id for model in loaded if model.id != self.trained()]

    def _refuse(self, model: ModelInfo, *, evict: bool) -> None:
        """Raise EngineError where a load needs no look at the memory to be refused."""
        if model.support == "unsupported":
            raise fault("model_unsupported", f"{model.name} cannot be loaded", model.why)
        if model.state != "ready":
            return
        if model.runs_on != "torch":
            raise fault(
                "not_here" if model.runs_on == "server" else "quant_refused",
                f"{model.name} is held as its file or its server has it",
                remedy="Leave dtype and quantisation out, or choose another model",
            )
        if model.id == self.trained():
            raise fault(
                "model_in_use",
                f"A run trains on {model.name}, which is loaded as {model.quant or model.load_dtype}",
                remedy="Wait for the end of the run, or leave dtype and quantisation out",
            )
        if self._watched() and not evict:
            raise fault(
                "would_evict",
                f"{model.name} is loaded as {model.quant or model.load_dtype}, and an open workbench uses it",
                remedy="Allow to load it again with --evict, or leave dtype and quantisation out",
            )

    async def _drop(self, model: ModelInfo) -> None:
        desk = await self.answering.desk(model)
        await desk.lane.run(desk.answerer.unload, model.id)
        self._measuring.spoil()
        quant = "" if model.runs_on == "torch" else model.quant  # what a file or a server holds stays known
        self._change(replace(model, state="available", memory=0, progress=0.0, load_dtype="", quant=quant))

    def _start(self, spec: LoadSpec, *, evict: bool) -> tuple[asyncio.Task[ModelInfo], threading.Event]:
        cancelled = threading.Event()
        task = asyncio.create_task(self._load(spec, cancelled, evict=evict))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._loads[spec.model.id] = (task, cancelled)
        return self._loads[spec.model.id]

    async def _load(self, spec: LoadSpec, cancelled: threading.Event, *, evict: bool) -> ModelInfo:
        loop, model = asyncio.get_running_loop(), spec.model

        def progress(fraction: float, phase: str) -> None:
            loop.call_soon_threadsafe(self._progressed, model.id, fraction, phase)

        try:
            if model.state == "ready":
                await self._drop(model)
                spec = replace(spec, model=self._models[model.id])
            elsewhere = model.runs_on == "server"
            kept = 0 if elsewhere else await self._make_room(spec, evict=evict)
            self._specs[model.id] = spec
            self._change(replace(model, state="loading", progress=0.0))
            desk = await self.answering.desk(model)
            self._measuring.spoil()
            loaded = await desk.lane.run(desk.answerer.load, replace(spec, kept=kept), progress, cancelled)
        except EngineError as error:
            if model.id in self._specs:
                self._change(replace(spec.model, state="available"), error.info)
            raise
        finally:
            self._loads.pop(model.id, None)
            self._specs.pop(model.id, None)
        self._asked[model.id] = (spec.dtype, spec.quant)
        self.alive.used(model.id)
        self._change(loaded)
        if not (elsewhere or self.trained()):
            await self._measuring.loaded(loaded, await self._room.facts((), plain=loaded.device == "cpu"))
        return loaded

    def _progressed(self, model: str, fraction: float, phase: str) -> None:
        known = self._models.get(model)
        if known is not None and known.state == "loading" and abs(fraction - known.progress) >= TOLD:
            self._models[model] = replace(known, progress=fraction)
            self._bus.publish(ModelLoading(model, fraction, phase))

    def _change(self, model: ModelInfo, error: ErrorInfo | None = None) -> None:
        self._models[model.id] = model
        holdings.shared.model(model)
        self._bus.publish(ModelChanged(model, error))

    # --- room -------------------------------------------------------------------------------

    def see(self, devices: Callable[[], tuple[DeviceFinding, ...]], load_dtype: Callable[[], str]) -> None:
        """How this machine's GPUs and the dtype of its loads are known, once torch has said so."""
        self._room.devices, self._room.load_dtype = devices, load_dtype

    async def estimate(self, command: EstimateFit) -> FitEstimate:
        """Whether a model would fit now, by parts."""
        model = await self.find(command.model)
        loaded = [other for other in self._models.values() if other.state == "ready"]
        return await self._room.estimate(model, command.dtype, command.quant, command.context, loaded)

    async def tell_rules(self) -> FitRules:
        """Tell what fit estimates of this machine go by."""
        rules = await self._room.rules(await self._room.facts(()))
        self.learned(rules)
        return rules

    async def keep_free(self, gib: float | None) -> FitRules:
        """Leave so many GiB to other programs from now on. Raises EngineError `settings_unsaved`."""
        await self._disk.run(set_number, "kept_free", gib)
        return await self.tell_rules()

    async def replied(self, model: str, peak: int, tokens: int) -> None:
        """A reply of this model ended: the first one after a load says what it took; see Measuring."""
        if not self.trained() and await self._measuring.replied(model, peak, tokens):
            await self.tell_rules()

    async def _make_room(self, spec: LoadSpec, *, evict: bool) -> int:
        """Unload the longest unused others until the model fits; returns the bytes that are kept free.

        Raises EngineError `model_too_large`, and `would_evict` where a workbench is open.
        """
        model, trained = spec.model, self.trained()
        loaded = [m for m in self._models.values() if m.state == "ready" and m.id != model.id]
        others = sorted((m for m in loaded if m.id != trained), key=lambda m: self.alive.last(m.id))
        staying = [m for m in loaded if m.id == trained]
        plan = await self._room.plan(model, spec.dtype, spec.quant, others, staying, self._coming())
        ask = self._watched() and not evict
        if plan.must and ask:
            names = " and ".join(m.name for m in plan.must)
            raise fault(
                "would_evict",
                f"{model.name} fits only when {names} is unloaded, which an open workbench uses",
                remedy="Allow it with --evict, or unload it first",
            )
        for other in plan.must if ask else plan.better:
            await self._drop(other)
        return plan.kept

    def _coming(self) -> int:
        """Bytes that the loads under way will still take."""
        loads = ((spec, self._models[name]) for name, spec in self._specs.items() if name in self._models)
        return sum(round(weights_bytes(s.model, s.dtype) * (1 - m.progress)) for s, m in loads)


def _held_so(model: ModelInfo, dtype: str, quant: Quant | None) -> bool:
    """Whether a loaded model is already held as asked; `none` unpacks nothing of a file or a server."""
    if model.runs_on != "torch" and not dtype and not quant:
        return True
    return dtype in ("", model.load_dtype) and quant in (None, model.quant)
