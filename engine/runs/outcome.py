"""How a run ended, put into its info."""

from __future__ import annotations

import time

from msgspec.structs import replace

from engine.protocol.errors import ErrorInfo
from engine.protocol.runs import RunInfo
from engine.runs.live import LiveRun
from engine.training import RunOutcome


def finished(live: LiveRun, outcome: RunOutcome) -> RunInfo:
    """Done, or stopped when somebody stopped it before its last step."""
    info = replace(
        live.info,
        step=outcome.step,
        loss=live.info.loss if outcome.loss is None else outcome.loss,
        eval_loss=live.info.eval_loss if outcome.eval_loss is None else outcome.eval_loss,
        adapter=live.info.id if outcome.adapter else "",
        peak=live.peak.overall,
    )
    if live.stopped.is_set() and outcome.step < info.steps:
        return stopped(info, leaving=live.leaving)
    return replace(info, state="done", ended=time.time())


def stopped(info: RunInfo, *, leaving: bool = False) -> RunInfo:
    """Stopped by a person, or because the engine leaves."""
    left = ErrorInfo(
        "engine_stopped",
        "The engine was stopped, and the run with it",
        remedy="Start the run again with the same settings",
        retryable=True,
    )
    return replace(info, state="stopped", ended=time.time(), error=left if leaving else None)


def failed(info: RunInfo, error: ErrorInfo, *, kept: bool) -> RunInfo:
    """Failed; `kept`: whether an adapter was saved before."""
    return replace(info, state="failed", ended=time.time(), adapter=info.id if kept else "", error=error)


def unforeseen(error: Exception) -> ErrorInfo:
    """What to say about a fault that nobody foresaw."""
    return ErrorInfo(
        "run_failed",
        "The run failed in the engine",
        f"{type(error).__name__}: {error}",
        "Start it again; the engine's log has the details",
        retryable=True,
    )
