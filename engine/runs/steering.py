"""What a person does with the runs that are there: pause, order, rename, do again, tidy up."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from engine.data.place import data_path
from engine.data.spec_file import DEFAULTS, filled, spec_of
from engine.lanes import Lane
from engine.protocol import commands as c
from engine.protocol.errors import EngineError, fault
from engine.protocol.runs import RunInfo, TrainSpec
from engine.protocol.specs import ModelInfo
from engine.runs import checkpoints, folder, housekeeping, outcome
from engine.runs.naming import name_result
from engine.runs.prepare import NAME_LIMIT, data_hash, versions
from engine.runs.recover import record
from engine.runs.runner import Runner
from engine.shelf import Shelf

NOTE_LIMIT = 4000
"""Characters of a note at most."""
TAGS, TAG_LIMIT = 20, 40
"""Tags of a run, and characters of each, at most."""
_CHOSEN = ("name", "alpha", "rate", "length")
"""Keys that the engine fills in from the others."""


class Steering:
    """Answers commands about runs. Used from the loop's thread."""

    def __init__(self, runner: Runner, shelf: Shelf, disk: Lane) -> None:
        self._runner = runner
        self._shelf = shelf
        self._disk = disk
        self._book, self._queue = runner.book, runner.queue

    # --- pause and go on --------------------------------------------------------------------

    async def pause(self, command: c.PauseRun) -> RunInfo:
        """Stand still after the present step; a queued run is held back."""
        info = self._book.find(command.run)
        live = self._runner.live(info.id)
        if live is not None:
            live.pause(command.mode or "hold")
            return live.info
        if info.state == "paused":
            return info
        if info.state != "queued":
            raise fault(
                "run_ended", f"{info.name} has ended already", remedy="Only a run under way can pause"
            )
        await self._queue.take(info.id)
        return await self._book.end(outcome.parked(replace(info, place=0)))

    async def resume(self, command: c.ResumeRun) -> RunInfo:
        """Go on, at once or from the newest checkpoint."""
        info = self._book.find(command.run)
        live = self._runner.live(info.id)
        if live is not None:
            live.resume()
            return live.info
        if info.state not in ("paused", "stopped", "failed"):
            state = "waits in the queue" if info.state == "queued" else f"is {info.state}"
            raise fault("run_not_paused", f"{info.name} {state}, so there is nothing to resume")
        begun = info.state == "paused" and info.started > 0
        info = replace(info, state="queued", pause="", error=None, ended=0.0, tries=0, adapter="")
        info = await self._book.end(info)
        await self._queue.put(info.id, 1 if begun else 0)
        return self._book.find(info.id)

    # --- the queue --------------------------------------------------------------------------

    async def move(self, command: c.MoveRun) -> RunInfo:
        """Put a queued run at another place."""
        info = self._waiting(command.run)
        await self._queue.put(info.id, max(1, command.place))
        return self._book.find(info.id)

    async def now(self, command: c.RunNow) -> RunInfo:
        """Start it next, and park the run that trains."""
        info = self._book.find(command.run)
        if info.state == "paused" and not self._runner.lives:
            info = await self.resume(c.ResumeRun(info.id))
        info = self._waiting(info.id)
        self._runner.hurry(info.id)
        await self._queue.put(info.id, 1)
        for live in self._runner.lives:
            live.pause("park", again=True)
        return self._book.find(info.id)

    def _waiting(self, ref: str) -> RunInfo:
        info = self._book.find(ref)
        if not self._queue.place(info.id):
            raise fault("run_not_queued", f"{info.name} does not wait in the queue", f"It is {info.state}")
        return info

    # --- what it is called ------------------------------------------------------------------

    async def change(self, command: c.ChangeRun) -> RunInfo:
        """Set what is not None."""
        info = self._book.find(command.run)
        changes = _told(command)
        live = self._runner.live(info.id)
        if live is not None:
            await self._runner.work.change(live, lambda now: replace(now, **changes))
            return live.info
        info = replace(info, **changes)
        await self._disk.run(record, info)
        self._book.tell(info)
        if "name" in changes:
            await self._disk.run(name_result, info)
            await self._runner.adapters.refresh()
        return info

    # --- again ------------------------------------------------------------------------------

    async def duplicate(self, command: c.DuplicateRun) -> RunInfo:
        """A new run with some keys changed; what was filled in from the others is filled in anew."""
        info = self._book.find(command.run)
        old = info.spec
        model = await self._shelf.find(str(command.changes.get("model", old.model)))
        values: dict[str, Any] = msgspec.to_builtins(_opened(old, self._shelf.known(old.model)))
        spec = spec_of(values | command.changes | {"model": model.id}, "This")
        return await self._runner.start(c.StartRun(spec, idle=command.idle, hold=command.hold))

    async def rerun(self, command: c.RerunRun) -> c.Rerun:
        """The same again: spec and seeds as recorded, and what cannot be matched here."""
        info = self._book.find(command.run)
        unmatched = await self._disk.run(_unmatched, info)
        if command.strict and unmatched:
            raise fault(
                "rerun_differs",
                f"{info.name} cannot be done again exactly here",
                "; ".join(unmatched),
                "Leave --strict out to run it all the same",
            )
        started = await self._runner.start(c.StartRun(info.spec))
        return c.Rerun(started, unmatched)

    # --- checkpoints and tidying up ---------------------------------------------------------

    async def checkpoints(self, command: c.ListCheckpoints) -> c.CheckpointList:
        """The checkpoints of a run, newest first."""
        info = self._book.find(command.run)
        place = folder.folder(info.id)
        found = await self._disk.run(lambda: checkpoints.listing(place, whole=command.verify))
        return c.CheckpointList(info, tuple(found))

    async def prune(self, command: c.PruneRuns) -> c.Pruned:
        """Delete what nothing needs, or only say so."""
        runs = self._book.infos()
        done = await self._disk.run(lambda: housekeeping.prune(runs, dry_run=command.dry_run))
        if not command.dry_run:
            await self._runner.adapters.refresh()
        return done


def _told(command: c.ChangeRun) -> dict[str, Any]:
    """The fields to change, tidied. Raises EngineError `run_unnamed` and `too_long`."""
    changes: dict[str, Any] = {}
    if command.name is not None:
        changes["name"] = " ".join(command.name.split())[:NAME_LIMIT]
        if not changes["name"]:
            raise fault("run_unnamed", "A run needs a name", remedy="Type at least one letter")
    if command.tags is not None:
        tags = dict.fromkeys(" ".join(tag.split()) for tag in command.tags)
        changes["tags"] = tuple(tag for tag in tags if tag)
        if len(changes["tags"]) > TAGS or any(len(tag) > TAG_LIMIT for tag in tags):
            raise fault("too_long", f"A run has at most {TAGS} tags of {TAG_LIMIT} characters")
    if command.note is not None:
        if len(command.note) > NOTE_LIMIT:
            raise fault("too_long", f"A note has at most {NOTE_LIMIT} characters")
        changes["note"] = command.note
    return changes


def _opened(spec: TrainSpec, model: ModelInfo | None) -> TrainSpec:
    """The spec with what the engine had filled in left open again."""
    if model is None:
        return spec
    opened = {}
    for key in _CHOSEN:
        free = replace(spec, **{key: getattr(DEFAULTS, key)})
        if getattr(filled(free, model), key) == getattr(spec, key):
            opened[key] = getattr(DEFAULTS, key)
    return replace(spec, **opened)


def _unmatched(info: RunInfo) -> tuple[str, ...]:
    """What cannot be the same here, a sentence each. Reads the data."""
    here, out = versions(), []
    for name, version in info.versions.items():
        if here.get(name) != version:
            out.append(f"{name} was {version} and is {here.get(name, 'not installed')}")
    try:
        found = data_hash(data_path(info.spec.data))
    except EngineError as error:
        out.append(error.info.sentence())
    else:
        if info.data_hash and found != info.data_hash:
            out.append(f"{info.spec.data} has other bytes than it had")
    return tuple(out)
