"""What one sample says of the memory that models are computed in. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from engine.api import memory, runs, specs
from tui.curve import Moment


def main_pool(sample: specs.MonitorSample) -> memory.Pool | None:
    """The pool that models are computed in; None where the engine does not tell of pools."""
    return sample.pools[0] if sample.pools else None


def room_of(pool: memory.Pool) -> int | None:
    """Bytes that ours can still take; None where that is not known."""
    if pool.ceiling is None or pool.ours is None:
        return None
    room = pool.ceiling - pool.ours
    if pool.total is not None and pool.used is not None:
        room = min(room, pool.total - pool.used)
    return max(0, room)


def moment_of(
    sample: specs.MonitorSample, speed: float = 0.0, step: int = 0, loss: float | None = None
) -> Moment:
    """A point of the history: what is ours in the main pool, else what the engine holds of RAM."""
    pool = main_pool(sample)
    if pool is None or pool.ours is None:
        held, used = sample.engine_rss, sample.ram_total - sample.ram_available
        least, most = _swing(sample, "engine", held, held)
    else:
        held, used = pool.ours, pool.used or 0
        least, most = _swing_of(sample, pool)
    return Moment(sample.at, held, least, most, used, speed, step, loss)


def _swing_of(sample: specs.MonitorSample, pool: memory.Pool) -> tuple[int, int]:
    """The least and the most of ours. Of a GPU's pool the swing is known of all that is used: it is
    taken as ours, since nobody else's memory moves as fast as a model's."""
    ours = pool.ours or 0
    if pool.kind == "ram":
        return _swing(sample, "engine", ours, sample.engine_rss)
    return _swing(sample, pool.id, ours, pool.used or 0)


def _swing(sample: specs.MonitorSample, key: str, now: int, measured: int) -> tuple[int, int]:
    swing = sample.swings.get(key)
    if swing is None:
        return now, now
    return max(0, now - max(0, measured - swing.least)), now + max(0, swing.most - measured)


def phase_at(marks: Sequence[runs.PhaseMark], at: float) -> str:
    """The phase that was under way; empty before the first one, and once the last one has ended."""
    before = [mark for mark in marks if mark.at <= at]
    return before[-1].phase if before and before[-1].phase != "end" else ""
