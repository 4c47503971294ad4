"""The engine: one host owns the store, the models, the replies and the monitor, and answers commands."""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import os
import platform
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from typing import IO, Any

import msgspec
from msgspec.structs import replace

from engine import VERSION, daemon, paths
from engine.backend import Backend
from engine.baking import Baking
from engine.batches import Batches
from engine.bus import Bus
from engine.chatbook import Chatbook, new_id
from engine.datasets import Datasets
from engine.evaluating import Evaluating
from engine.exporting import Exporting
from engine.harness import Harness
from engine.health import Health
from engine.hub.hub import Hub
from engine.inspecting import Inspecting
from engine.lanes import Lane
from engine.marks import Marks
from engine.monitoring import Monitoring
from engine.parcels.parcels import Parcels
from engine.pictures import kept
from engine.pictures.intake import Intake
from engine.prompting import Prompting
from engine.protocol import commands as c
from engine.protocol.errors import EngineError, fault
from engine.protocol.events import EngineChanged, Notice
from engine.protocol.specs import EngineInfo, Snapshot
from engine.replies import Replies
from engine.runs.races import Races
from engine.runs.room import RoomWatch
from engine.runs.runner import Runner
from engine.runs.steering import Steering
from engine.server import Server
from engine.servers.naming import Naming
from engine.serving.serving import Serving
from engine.shelf import Shelf
from engine.store.store import Store
from engine.tracking import Tracking
from engine.transfer import Transfer
from engine.tree import Tree
from engine.vitals import Machine

log = logging.getLogger(__name__)
IDLE_SECONDS = float(os.environ.get("QWILL_IDLE_SECONDS", "600"))
"""An engine with no client and nothing to do leaves after so long."""
DEMO = "demo"
RECENT_RUNS = 50
"""Runs in a snapshot."""
Handler = Callable[[Any], Awaitable[msgspec.Struct]]


class Host:
    """Wires the parts together. Lives in one asyncio loop; heavy work runs in its lanes."""

    def __init__(self) -> None:
        self.bus = Bus()
        self.server = Server(self)
        self.leaving = asyncio.Event()
        self._when_idle = False
        self._lock: IO[str] | None = None
        self._model_lane = Lane("model")
        self._training_lane = Lane("training")
        self._disk_lane = Lane("disk")
        self._book = Chatbook(self.bus)
        self._shelf = Shelf(self.bus, self._model_lane, self._disk_lane, self._watched)
        self._runner = Runner(self.bus, self._shelf, self._training_lane, self._disk_lane)
        self._shelf.see(lambda: self._info.devices, lambda: self._info.load_dtype)
        self._shelf.learned = lambda rules: self._know(fit=rules)
        self._shelf.trained = lambda: self._runner.model
        self._replies = Replies(self.bus, self._book, self._shelf, self._runner.adapters)
        self._runner.quiet.chatting = lambda: self._replies.busy
        self._steering = Steering(self._runner, self._shelf, self._disk_lane)
        self._room = RoomWatch(self._runner.book, self._disk_lane, self._steering.resume)
        self._races = Races(self._runner, self._steering, self._shelf, self._disk_lane)
        self._prompting = Prompting(self._book, self._shelf)
        self._replies.prepare = self._prompting.prepared
        self._inspecting = Inspecting(
            self._book, self._shelf, self._runner.adapters, self._prompting.prepared
        )
        self._exporting = Exporting(self.bus, self._shelf, self._runner.adapters, self._model_lane)
        self._tree = Tree(self._book, self._replies)
        self._marks = Marks(self.bus, self._book)
        self._datasets = Datasets(self.bus, self._marks, self._shelf)
        self._runner.placed = self._datasets.placed
        self._transfer = Transfer(self._book, self._default_model)
        self._intake = Intake(kept.shared)
        self._parcels = Parcels(self._runner, self._disk_lane)
        self._hub = Hub(self.bus, self._shelf, self._disk_lane)
        self._naming = Naming(self._shelf.servers, self._disk_lane, self._shelf.refresh_and_tell)
        self._health = Health(self._book, self._shelf, self._machine)
        self._serving = Serving(
            self.bus,
            self._shelf,
            self._replies,
            self._runner.adapters,
            self._default_model,
            self._health.note,
        )
        self._batches = Batches(self._shelf, self._replies, self._runner.adapters, self._health.note)
        self._evaluating = Evaluating(self.bus, self._shelf, self._runner.adapters, self._batches)
        self._harness = Harness(self.bus, self._shelf, self._runner.adapters, self._evaluating.stop)
        self._tracking = Tracking(self._runner.book)
        self._baking = Baking(self.bus, self._book, self._shelf, self._batches)
        self._monitoring = Monitoring(
            self.bus,
            self._runner,
            self._disk_lane,
            looked=lambda: self.server.clients > 0,
            busy=self._computes,
            speed=self._replies.speed,
        )
        self._info = EngineInfo(new_id(), os.getpid(), VERSION, time.time(), host=platform.node())
        self._handlers = self._table()
        self._tasks: set[asyncio.Task[Any]] = set()

    # --- life -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take the lock, open the store, and begin to import torch. Raises EngineError."""
        self._lock = daemon.lock_engine()
        left = await self._book.open(paths.store_path())
        if left:
            log.warning("%d replies were cut off when the last engine ended", len(left))
        self._monitoring.start()
        self._background(self._wake_backend())
        self._background(self._forget_images())
        self._background(self._shelf.expire())
        # Before the first client: a snapshot without models would say that there are none.
        await self._shelf.refresh()
        self._background(self._shelf.look_at_servers())
        await self._runner.open()
        self._room.open()
        self._races.open()
        await self._hub.open()
        self._background(self._parcels.forget())

    async def stop(self) -> None:
        """Keep what the replies have, close the store, let go of the lock."""
        await self._serving.close()
        self._evaluating.close()
        self._harness.close()
        await self._batches.close()
        await self._replies.close()
        self._races.close()
        self._room.close()
        await self._runner.close()
        self._exporting.close()
        self._datasets.close()
        self._parcels.close()
        await self._hub.close()
        self._monitoring.stop()
        await self.server.close()
        for task in self._tasks:
            task.cancel()
        await self._book.close()
        self._model_lane.close()
        self._shelf.answering.close()
        self._prompting.close()
        self._training_lane.close()
        self._disk_lane.close()
        if self._lock is not None:
            self._lock.close()

    @property
    def busy(self) -> bool:
        """Whether anything would be lost, or anybody would be left alone, if it ended now."""
        return self.server.clients > 0 or self._at_work or self._serving.info() is not None

    @property
    def _at_work(self) -> bool:
        return (
            self._replies.busy
            or self._runner.busy
            or self._races.busy
            or self._hub.busy
            or self._exporting.busy
            or self._serving.busy
            or self._batches.busy
            or self._evaluating.busy
            or self._harness.busy
            or self._baking.busy
        )

    def idle_exit_due(self) -> bool:
        """Whether a client asked to leave once idle, and it is."""
        return self._when_idle and not self._at_work

    def _background(self, work: Awaitable[Any]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _wake_backend(self) -> None:
        try:
            backend, facts = await self._model_lane.run(_create_backend)
        except Exception as error:  # an import can fail in any way; the chats stay readable without torch
            log.exception("the model thread could not start")
            self._shelf.backend.set_exception(_no_torch(error))
            self._shelf.backend.exception()
            self._know(torch="failed")
            self.bus.publish(Notice("error", _no_torch(error).info))
            return
        self._shelf.backend.set_result(backend)
        self._know(torch="ready", **facts)
        await self._shelf.tell_rules()

    async def _forget_images(self) -> None:
        """Drop images that nobody holds any more."""
        try:
            used = await self._book.ask(None, Store.images)
            await asyncio.to_thread(kept.shared.forget, used)
        except (EngineError, OSError):
            log.warning("old images were not looked through", exc_info=True)

    def _know(self, **facts: Any) -> None:
        """Tell the clients something new of the engine itself."""
        self._info = replace(self._info, **facts)
        self.bus.publish(EngineChanged(self._info))

    def _watched(self) -> bool:
        return self.server.workbenches > 0

    def _machine(self) -> Machine:
        return Machine(self._monitoring.latest, trains=bool(self._runner.model))

    def _computes(self) -> bool:
        """Whether anything but a run takes memory now. Asked in the monitor's thread."""
        others = self._batches.busy or self._evaluating.busy or self._exporting.busy
        return self._shelf.loading or self._replies.busy or others

    # --- what clients see -------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        return Snapshot(
            engine=self._info,
            models=self._shelf.infos(),
            chats=self._book.recent(),
            live=self._replies.live(),
            runs=self._runner.infos()[:RECENT_RUNS],
            adapters=self._runner.adapters.infos(),
            default_model=self._default_model(),
            monitor=self._monitoring.latest,
            downloads=self._hub.infos(),
            serving=self._serving.info(),
        )

    def seated(self) -> None:
        """Somebody opened a workbench: have their model ready before they have typed."""
        self._background(self._preload())

    async def _preload(self) -> None:
        try:
            await self._shelf.ready(self._default_model())
        except EngineError as error:
            log.warning("%s", error.info.sentence())  # the model's own event has told the clients

    def _default_model(self) -> str:
        """The model of the newest chat, or the demo."""
        known = {model.id for model in self._shelf.infos()}
        wanted = (chat.model for chat in self._book.recent())
        return next((model for model in wanted if model in known), DEMO)

    async def handle(self, command: c.AnyCommand) -> msgspec.Struct:
        """Answer one command; raises EngineError."""
        return await self._handlers[type(command)](command)

    def _table(self) -> dict[type, Handler]:
        book, shelf, replies, runner = self._book, self._shelf, self._replies, self._runner
        steering = self._steering
        tree, marks = self._tree, self._marks
        return {
            c.ListModels: self._list_models,
            c.ShowModel: lambda q: shelf.find(q.model),
            c.LoadModel: lambda q: shelf.ready(q.model, dtype=q.dtype, quant=q.quant, evict=q.evict),
            c.UnloadModel: self._unload,
            c.EstimateFit: shelf.estimate,
            c.KeepFree: lambda q: shelf.keep_free(q.gib),
            c.AddFolder: lambda q: shelf.add_folder(q.path),
            c.ListEndpoints: self._naming.listing,
            c.AddEndpoint: self._naming.add,
            c.RemoveEndpoint: self._naming.remove,
            c.CheckEndpoint: self._naming.check,
            c.ListChats: book.page,
            c.SearchChats: lambda q: book.search(q.query, q.limit),
            c.ReadChat: replies.read,
            c.NewChat: self._new_chat,
            c.ChangeChat: self._change_chat,
            c.DeleteChat: tree.delete_chat,
            c.Send: replies.send,
            c.Regenerate: replies.regenerate,
            c.StopReply: self._stop_reply,
            c.AnswerNow: self._answer_now,
            c.ReadTree: self._transfer.read,
            c.PutChat: self._transfer.begin,
            c.PutMessages: self._transfer.put,
            c.PutImage: self._intake.put,
            c.ReadImage: self._intake.read,
            c.HasFile: self._parcels.has,
            c.PutPart: self._parcels.put,
            c.ListFiles: self._parcels.files,
            c.ReadFile: self._parcels.read,
            c.KeepRun: self._parcels.keep,
            c.ListFolder: self._parcels.names,
            c.ReadNamed: self._parcels.named,
            c.CountTokens: self._prompting.count,
            c.MeasureContext: self._prompting.measure,
            c.ShowVersion: tree.show,
            c.EditMessage: tree.edit,
            c.ContinueReply: tree.proceed,
            c.BranchReply: tree.branch,
            c.InspectReply: self._inspecting.inspect,
            c.ForkChat: tree.fork,
            c.DeleteMessage: tree.delete,
            c.MarkReply: marks.mark,
            c.ListMarked: marks.listing,
            c.ExportMarked: marks.export,
            c.Vote: marks.vote,
            c.ListDatasets: runner.datasets,
            c.CheckData: self._datasets.check,
            c.PreviewRow: self._datasets.preview,
            c.PasteRows: self._datasets.paste,
            c.SaveRows: self._datasets.save,
            c.AppendRows: self._datasets.append,
            c.ReadRows: self._datasets.read,
            c.FetchData: self._datasets.fetch,
            c.StopData: self._datasets.readings.stop,
            c.EstimateRun: runner.estimate,
            c.StartRun: runner.start,
            c.ListRuns: runner.listing,
            c.ReadRun: runner.read,
            c.StopRun: runner.stop,
            c.DeleteRun: runner.delete,
            c.PauseRun: steering.pause,
            c.ResumeRun: steering.resume,
            c.MoveRun: steering.move,
            c.RunNow: steering.now,
            c.ChangeRun: steering.change,
            c.DuplicateRun: steering.duplicate,
            c.RerunRun: steering.rerun,
            c.StartRace: self._races.start,
            c.ReadRace: self._races.read,
            c.PauseRace: self._races.pause,
            c.ResumeRace: self._races.resume,
            c.StopRace: self._races.stop,
            c.ListCheckpoints: steering.checkpoints,
            c.PruneRuns: steering.prune,
            c.ListAdapters: runner.adapters.listing,
            c.ProveAdapter: self._exporting.prove,
            c.ExportAdapter: self._exporting.export,
            c.StopExport: self._exporting.stop,
            c.UndoExport: self._exporting.undo,
            c.SearchHub: self._hub.search,
            c.ShowHubModel: self._hub.show,
            c.StartDownload: self._hub.start,
            c.CancelDownload: self._hub.cancel,
            c.ListDownloads: self._hub.listing,
            c.DeleteCached: self._hub.delete,
            c.StartBatch: self._batches.start,
            c.TakeRows: self._batches.take,
            c.StopBatch: self._batches.stop,
            c.StartEvaluation: self._evaluating.start,
            c.StopEvaluation: self._harness.stop,
            c.StartHarness: self._harness.start,
            c.TrackRun: self._tracking.track,
            c.StartBake: self._baking.start,
            c.StopBake: self._baking.stop,
            c.ReadHealth: self._health.report,
            c.ReadMemory: self._monitoring.read,
            c.StartServing: self._serving.start,
            c.StopServing: self._serving.stop,
            c.ShowServing: self._serving.show,
            c.Status: self._status,
            c.Shutdown: self._shutdown,
        }

    async def _list_models(self, command: c.ListModels) -> c.ModelList:
        return await self._shelf.listing(refresh=command.refresh)

    async def _new_chat(self, command: c.NewChat) -> msgspec.Struct:
        model = await self._shelf.find(command.model or self._default_model())
        return await self._book.new(replace(command, model=model.id))

    async def _change_chat(self, command: c.ChangeChat) -> msgspec.Struct:
        if command.model is not None:
            command = replace(command, model=(await self._shelf.find(command.model)).id)
        return await self._book.change(command)

    async def _unload(self, command: c.UnloadModel) -> c.Done:
        model = await self._shelf.find(command.model)
        if model.id == self._runner.model:
            raise fault(
                "model_in_use",
                f"A run trains on {model.name} now",
                remedy="Stop the run first, or wait for its end",
            )
        await self._shelf.unload(model.id)
        return c.Done()

    async def _stop_reply(self, command: c.StopReply) -> c.Done:
        if not self._inspecting.stop(command.message):
            self._replies.stop(command.message)
        return c.Done()

    async def _answer_now(self, command: c.AnswerNow) -> c.Done:
        self._replies.answer_now(command.message)
        return c.Done()

    async def _status(self, _: c.Status) -> EngineInfo:
        return self._info

    async def _shutdown(self, command: c.Shutdown) -> c.Done:
        if command.when_idle:
            self._when_idle = True
        else:
            self.leaving.set()
        return c.Done()


def _create_backend() -> tuple[Backend, dict[str, Any]]:
    """The backend, and what torch says of this machine (fields of EngineInfo)."""
    # By name: nothing outside engine.workers imports torch, not even for the import graph's eye.
    try:
        trials = importlib.import_module("engine.calibrating").at_start()  # before torch: it may hide a GPU
        importlib.import_module("engine.workers.lean")
        backend = importlib.import_module("engine.workers.backend").create()
        return backend, importlib.import_module("engine.workers.devices").engine_facts(trials)
    finally:
        gc.freeze()  # the collector need not look at hundreds of thousands of objects of libraries again
        gc.enable()


def _no_torch(error: Exception) -> EngineError:
    return fault(
        "torch_failed",
        "torch could not be imported, so no model can be loaded",
        f"{type(error).__name__}: {error}",
        "Run `make setup` again, or reinstall torch",
    )


# --- the process ----------------------------------------------------------------------------


def run_engine() -> int:
    """The engine's process, until idle, asked or signalled to leave. Its exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # The loop shares the interpreter with the model thread: hand over sooner than the default 5 ms.
    sys.setswitchinterval(0.001)
    try:
        asyncio.run(_run())
    except EngineError as error:
        log.error("%s", error.info.sentence())  # the last line of the log is what a waiting client shows
        return daemon.BUSY_EXIT if error.info.code == "engine_busy" else 1
    # Not sys.exit: a daemon thread inside torch must not hold up the end.
    logging.shutdown()
    os._exit(0)


async def _run() -> None:
    host = Host()
    await host.start()
    await host.server.listen(paths.socket_path())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, host.leaving.set)
    watcher = asyncio.create_task(_leave_when_idle(host))
    await host.leaving.wait()
    watcher.cancel()
    await host.stop()


async def _leave_when_idle(host: Host) -> None:
    quiet_since = time.monotonic()
    while not host.idle_exit_due() and time.monotonic() - quiet_since < IDLE_SECONDS:
        await asyncio.sleep(min(1.0, IDLE_SECONDS / 4))
        if host.busy:
            quiet_since = time.monotonic()
    host.leaving.set()
