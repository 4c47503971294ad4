"""After a kill: what the folders say, and what becomes of the runs that were under way."""

from __future__ import annotations

import time
from pathlib import Path

from msgspec.structs import replace

from engine.data.smaller import smaller
from engine.protocol.errors import EngineError, ErrorInfo
from engine.protocol.runs import RunInfo
from engine.runs import checkpoints, folder, log
from engine.runs.live import tested


def recover(info: RunInfo, *, out_of_memory: bool = False) -> RunInfo:
    """The run as it is now: one that a dead engine left under way waits to go on, once; then it has failed.

    "Once" counts anew when it came further than the checkpoint it went on from. Queued, parked and ended runs
    come back as they are. `out_of_memory`: the kernel took the engine for that, so a smaller batch is tried.
    """
    if info.state == "queued" or info.state not in ("running", "paused") or info.pause == "park":
        return info
    info = as_logged(info)
    place = folder.folder(info.id)
    if _may_go_on(info, place):
        held = info.state == "paused"
        if out_of_memory:
            info = replace(info, spec=smaller(info.spec) or info.spec)
        info = replace(
            info,
            state="paused" if held else "queued",
            pause="park" if held else "",
            phase="paused" if held else "waiting",
            eta_s=None,
            tries=info.tries + 1,
            ended=0.0,
        )
    else:
        info = _failed(info)
    try:
        record(info)
    except EngineError:
        return info  # a full disk: it is told all the same, and found again at the next start
    return info


def record(info: RunInfo) -> None:
    """Write a change of state to the log and beside it. Raises EngineError."""
    writer = log.LogWriter(folder.log_path(info.id))
    try:
        writer.run(info)
    finally:
        writer.close()
    folder.save(info)


def as_logged(info: RunInfo, until: int | None = None) -> RunInfo:
    """With the last numbers of its log, which is ahead of what was saved; those up to step `until`."""
    try:
        steps, peak = _stand(info)
        curve = log.read(folder.log_path(info.id), limit=None)
    except OSError:
        return info
    info = replace(info, steps=steps, peak=peak, tokens=0, best_eval=None, best_step=0)
    for point in curve.points:
        if until is not None and point.step > until:
            break
        if point.eval_loss is not None:
            info = tested(info, point)
        elif point.loss is not None:
            tokens = info.tokens + point.tokens
            info = replace(info, step=point.step, loss=point.loss, tokens=tokens)
            info = replace(info, ended=point.at, epoch=point.epoch)
    return info


def _stand(info: RunInfo) -> tuple[int, int]:
    """(number of steps, peak bytes)."""
    steps, peak = info.steps, info.peak
    for line in log.lines(folder.log_path(info.id)):
        if line.mark is not None:
            peak = max(peak, line.mark.peak, line.mark.memory)
        if line.run is not None:
            steps = steps or line.run.steps
        if line.point is not None:
            peak = max(peak, line.point.memory)
    return steps, peak


def _may_go_on(info: RunInfo, place: Path) -> bool:
    if not info.tries:
        return True
    found, _ = checkpoints.newest(place)
    return found is not None and bool(info.resumed) and checkpoints.step_of(found) > info.resumed[-1]


def _failed(info: RunInfo) -> RunInfo:
    kept = folder.has_adapter(info.id)
    return replace(
        info,
        state="failed",
        phase="end",
        eta_s=None,
        pause="",
        ended=info.ended or time.time(),
        adapter=info.id if kept else "",
        error=_cut_off(info, kept=kept),
    )


def _cut_off(info: RunInfo, *, kept: bool) -> ErrorInfo:
    where = f"at step {info.step} of {info.steps}" if info.steps else "before its first step"
    path = folder.folder(info.id) / folder.ADAPTER
    return ErrorInfo(
        "run_cut_off",
        f"The engine was killed {where}, again after it had been taken up",
        f"The adapter as of its last evaluation is kept at {path}" if kept else "No adapter was saved yet",
        "Go on with it by `qwill runs resume`, or start it again with a smaller batch",
        retryable=True,
    )
