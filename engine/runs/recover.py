"""After a kill: what the folders say, and what becomes of the runs that were under way."""

from __future__ import annotations

import time

from msgspec.structs import replace

from engine.protocol.errors import EngineError, ErrorInfo
from engine.protocol.runs import RunInfo
from engine.runs import folder, log


def recover(info: RunInfo) -> RunInfo:
    """The run as it is now: one that a dead engine left running has failed, and says what is kept.

    Queued and ended runs come back as they are.
    """
    if info.state not in ("running", "paused"):
        return info
    info = _as_logged(info)
    kept = folder.has_adapter(info.id)
    info = replace(
        info,
        state="failed",
        phase="end",
        eta_s=None,
        ended=info.ended or time.time(),
        adapter=info.id if kept else "",
        error=_cut_off(info, kept=kept),
    )
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


def _as_logged(info: RunInfo) -> RunInfo:
    """With the last numbers of its log, which is ahead of what was saved at the last change of phase."""
    peak = info.peak
    try:
        for line in log.lines(folder.log_path(info.id)):
            if line.mark is not None:
                peak = max(peak, line.mark.peak, line.mark.memory)
            if line.run is not None:
                info = replace(info, steps=info.steps or line.run.steps)
            if line.point is None:
                continue
            peak = max(peak, line.point.memory)
            if line.point.loss is None:
                info = replace(info, eval_loss=line.point.eval_loss)
            else:
                info = replace(info, step=line.point.step, loss=line.point.loss, ended=line.point.at)
    except OSError:
        pass
    return replace(info, peak=peak)


def _cut_off(info: RunInfo, *, kept: bool) -> ErrorInfo:
    where = f"at step {info.step} of {info.steps}" if info.steps else "before its first step"
    path = folder.folder(info.id) / folder.ADAPTER
    return ErrorInfo(
        "run_cut_off",
        f"The engine was killed {where}",
        f"The adapter as of its last evaluation is kept at {path}" if kept else "No adapter was saved yet",
        "Start the run again with the same settings",
        retryable=True,
    )
