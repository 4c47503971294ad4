"""Folding what the engine tells of runs and adapters into the state. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from engine.api import events, runs
from tui.curve import Curve
from tui.dirty import Dirty, What
from tui.state import EngineState

CURVES = 8
"""Curves kept of runs that ended, those read last: one can hold a megabyte, and the log has them all."""


def take_runs(state: EngineState, told: Iterable[runs.RunInfo]) -> set[Dirty]:
    """The list as a fresh link tells it. Curves stay; those that may have moved meanwhile are read again."""
    before = state.runs
    state.runs = {run.id: run for run in told}
    dirty = {Dirty(What.RUNS)}
    for run in state.runs.values():
        if run.eta_s is not None:
            state.etas[run.id] = run.eta_s
        old = before.get(run.id)
        if old is not None and _going(old) and not _going(run):
            dirty |= {Dirty(What.RUN_END, run.id), Dirty(What.RUN_GAP, run.id)}
        elif run.state == "running" or (run.id in state.curves and run != old):
            dirty.add(Dirty(What.RUN_GAP, run.id))
    return dirty


def take_adapters(state: EngineState, told: Iterable[runs.AdapterInfo]) -> set[Dirty]:
    """The whole list of adapters."""
    state.adapters = {adapter.id: adapter for adapter in told}
    return {Dirty(What.ADAPTERS)}


def take_curve(state: EngineState, run: runs.RunInfo, curve: Curve) -> set[Dirty]:
    """A curve as it was read from the log, with what came while it was being read."""
    shown = state.curves.get(run.id)
    if shown is not None:
        curve.take_newer(shown)
    curve.whole = True
    state.curves.pop(run.id, None)  # so that the newest is the last
    state.curves[run.id] = curve
    _forget_curves(state)
    return {Dirty(What.CURVE, run.id)}


def apply_run(state: EngineState, body: events.Body) -> set[Dirty]:
    """Fold one event about runs or adapters in; every other changes nothing."""
    match body:
        case events.RunChanged():
            return _change(state, body.run)
        case events.RunStepped():
            return _step(state, body)
        case events.RunMarked():
            curve = state.curves.setdefault(body.run, Curve())
            sampled = bool(curve.marks) and curve.marks[-1].phase == "sample"
            fresh = curve.mark(body.mark)
            # Samples stand in the log alone: it is read again once there are new ones.
            again = {Dirty(What.RUN_GAP, body.run)} if sampled and fresh else set()
            return {Dirty(What.CURVE, body.run)} | again
        case events.RunGone():
            state.runs.pop(body.run, None)
            state.curves.pop(body.run, None)
            state.etas.pop(body.run, None)
            return {Dirty(What.RUNS)}
        case events.AdaptersChanged():
            return take_adapters(state, body.adapters)
        case events.ExportMoved():
            state.exports[body.job] = (body.progress, body.phase)
        case events.DataMoved():
            share = body.done / body.total if body.total else -1.0
            state.exports[body.job] = (share, f"{body.done:,} rows read")
        case events.BakeMoved():
            state.exports[body.job] = (body.done / body.total, f"{body.done} of {body.total} replies")
    return set()


def _change(state: EngineState, run: runs.RunInfo) -> set[Dirty]:
    old = state.runs.get(run.id)
    again = old is not None and len(run.resumed) > len(old.resumed)
    if again and run.id in state.curves:
        state.curves[run.id].cut(run.resumed[-1])
    if old is not None and _going(run) and run.step < old.step and not again:
        # Steps are told as they come, a change with the step it was made at.
        run = msgspec.structs.replace(run, step=old.step, loss=old.loss)
    state.runs[run.id] = run
    if run.eta_s is not None and (run.step == 0 or run.id not in state.etas):
        state.etas[run.id] = run.eta_s  # foretold before the first step; each step tells it anew
    dirty = {Dirty(What.RUNS, run.id)}
    if again:
        dirty.add(Dirty(What.CURVE, run.id))
    if old is not None and (_stuck(run) and not _stuck(old) or len(run.findings) > len(old.findings)):
        dirty.add(Dirty(What.RUN_CALLS, run.id))
    if _going(run):
        return dirty
    state.etas.pop(run.id, None)
    if old is not None and _going(old):
        dirty |= {Dirty(What.RUN_END, run.id), Dirty(What.RUN_GAP, run.id)}
    return dirty


def _forget_curves(state: EngineState) -> None:
    drawn = {run for shown in state.drawn.values() for run in shown}
    others = [run for run in state.curves if run not in drawn]
    ended = [run for run in others if run not in state.runs or not _going(state.runs[run])]
    for each in ended[:-CURVES]:
        del state.curves[each]


def _step(state: EngineState, told: events.RunStepped) -> set[Dirty]:
    curve = state.curves.setdefault(told.run, Curve())
    first = not curve.dots
    if not curve.add(told.point):
        return set()
    dirty = {Dirty(What.CURVE, told.run)}
    if first and told.point.step > 1 and not curve.whole:
        dirty.add(Dirty(What.RUN_GAP, told.run))
    run = state.runs.get(told.run)
    if run is None:
        return dirty
    point = told.point
    if point.loss is None and not point.wrong:
        state.runs[run.id] = msgspec.structs.replace(run, eval_loss=point.eval_loss)
    else:
        state.runs[run.id] = _stepped(run, point)
        if told.eta_s is not None:
            state.etas[run.id] = told.eta_s
    return dirty | {Dirty(What.RUNS, run.id)}


def _stepped(run: runs.RunInfo, point: runs.StepPoint) -> runs.RunInfo:
    """The run's row after a step, without waiting for the engine to tell it anew."""
    speed = point.tokens / point.seconds if point.seconds > 0 and point.tokens else run.tokens_per_s
    return msgspec.structs.replace(
        run,
        step=point.step,
        loss=point.loss if point.loss is not None else float("nan"),
        epoch=point.epoch or run.epoch,
        rate=point.rate,
        grad_norm=point.grad_norm,
        tokens_per_s=speed,
    )


def _stuck(run: runs.RunInfo) -> bool:
    """Whether it goes on only when somebody does something."""
    return run.state == "paused" and run.error is not None


def _going(run: runs.RunInfo) -> bool:
    return run.state not in runs.ENDED_STATES
