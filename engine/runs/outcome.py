"""How a run ended, or how it stands until it goes on, put into its info."""

from __future__ import annotations

import time

from msgspec.structs import replace

from engine.data.smaller import smaller
from engine.protocol.errors import ErrorInfo
from engine.protocol.runs import RunInfo
from engine.protocol.training import TrainSpec
from engine.runs.live import LiveRun
from engine.training import RunOutcome


def finished(live: LiveRun, outcome: RunOutcome) -> RunInfo:
    """Done, parked, or stopped when somebody stopped it before its last step."""
    whole = live.info.spec.method == "full"
    info = replace(
        live.info,
        step=outcome.step,
        loss=live.info.loss if outcome.loss is None else outcome.loss,
        eval_loss=live.info.eval_loss if outcome.eval_loss is None else outcome.eval_loss,
        adapter=live.info.id if outcome.adapter and not whole else "",
        whole=outcome.adapter if whole else "",
        peak=max(live.info.peak, live.peak.overall),
        measured=outcome.measured or live.info.measured,
        forgetting=live.info.forgetting if outcome.forgetting is None else outcome.forgetting,
    )
    if outcome.best_eval is not None:
        info = replace(info, best_eval=outcome.best_eval, best_step=outcome.best_step)
    if outcome.parked and not live.stopped.is_set():
        return parked(info, again=live.leaving or live.again)
    if live.stopped.is_set() and outcome.step < info.steps:
        return stopped(info)
    return replace(info, state="done", ended=time.time())


def called(info: RunInfo, known: RunInfo) -> RunInfo:
    """With the name, the tags and the note that a person gave it last."""
    return replace(info, name=known.name, tags=known.tags, note=known.note)


def parked(info: RunInfo, *, again: bool = False) -> RunInfo:
    """Everything of it is on disk; `again`: it waits in the queue, and not for a person."""
    if again:
        return replace(info, state="queued", pause="")
    return replace(info, state="paused", pause="park")


def stopped(info: RunInfo) -> RunInfo:
    """Stopped by a person."""
    return replace(info, state="stopped", pause="", ended=time.time(), error=None)


def needs_room(info: RunInfo, error: ErrorInfo) -> RunInfo:
    """Parked because the disk is full; a person has to make room."""
    told = replace(error, remedy="Free some space: the run then goes on by itself from its last checkpoint")
    return replace(info, state="paused", pause="park", error=told)


def tried_smaller(info: RunInfo, before: TrainSpec | None) -> RunInfo | None:
    """After memory ran out: to go on once, with the next smaller batch. `before`: the spec as it was stored.

    None when it was tried already, or when nothing is left to give.
    """
    spec = smaller(info.spec) if info.spec == before else None
    if spec is None:
        return None
    return replace(info, state="queued", spec=spec, tries=info.tries + 1, error=None)


def failed(info: RunInfo, error: ErrorInfo, *, kept: bool) -> RunInfo:
    """Failed; `kept`: whether an adapter was saved before."""
    adapter = info.id if kept else ""
    return replace(info, state="failed", pause="", ended=time.time(), adapter=adapter, error=error)


def unforeseen(error: Exception) -> ErrorInfo:
    """What to say about a fault that nobody foresaw."""
    return ErrorInfo(
        "run_failed",
        "The run failed in the engine",
        f"{type(error).__name__}: {error}",
        "Start it again; the engine's log has the details",
        retryable=True,
    )
