"""What came of a race, by setting. Pure.

The rule of the verdicts: a setting is `within noise` of the best one when their mean eval losses differ by
less than the pooled standard deviation over their seeds, sqrt((s1² + s2²) / 2). That takes two seeds of each:
with fewer the verdict is `one seed`, since nothing is known of the noise. Settings that were stopped had a
smaller budget, so they are not compared.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from engine.protocol.race import RaceInfo, RaceRow, RaceTable, Verdict
from engine.protocol.runs import ENDED_STATES, RunInfo

FAILED = "!"
"""What a score begins with that is none."""


class Measured(msgspec.Struct, frozen=True):
    """What only the folder of a run tells."""

    seconds: float | None = None
    adapter_bytes: int = 0


def table(race: RaceInfo, runs: Mapping[str, RunInfo], measured: Mapping[str, Measured]) -> RaceTable:
    """`runs`: those that are still there, by id."""
    rows = []
    for setting in dict.fromkeys(member.setting for member in race.members):
        ids = [member.run for member in race.members if member.setting == setting]
        found = [runs[run] for run in ids if run in runs]
        if found:
            rows.append(_row(setting, found, race, measured))
    there = [runs[member.run] for member in race.members if member.run in runs]
    over = all(info.state in ENDED_STATES for info in there)
    if race.scorer:
        over = over and all(info.id in race.scores for info in there if info.adapter or info.whole)
    return RaceTable(race, tuple(_judged(rows)), over)


def noise(one: float, other: float) -> float:
    """Pooled standard deviation of two settings with as many seeds each."""
    return math.sqrt((one * one + other * other) / 2)


def _row(setting: str, found: Sequence[RunInfo], race: RaceInfo, measured: Mapping[str, Measured]) -> RaceRow:
    facts = [measured.get(info.id, Measured()) for info in found]
    loss, spread = _mean([info.eval_loss for info in found])
    told = [race.scores[info.id] for info in found if info.id in race.scores]
    score, score_spread = _mean([float(each) for each in told if not each.startswith(FAILED)])
    failed = [each.removeprefix(FAILED) for each in told if each.startswith(FAILED)]
    stopped = all(info.state in ("stopped", "failed") for info in found)
    return RaceRow(
        setting,
        tuple(info.id for info in found),
        tuple(info.state for info in found),
        step=max(info.step for info in found),
        steps=max(info.steps for info in found),
        eval_loss=loss,
        spread=spread,
        verdict="stopped" if stopped else "",
        seconds=_mean([each.seconds for each in facts])[0],
        memory=max(info.measured for info in found),
        adapter_bytes=max(each.adapter_bytes for each in facts),
        forgetting=_mean([info.forgetting for info in found])[0],
        score=score,
        score_spread=score_spread,
        unscored=failed[0] if failed and score is None else "",
    )


def _judged(rows: list[RaceRow]) -> list[RaceRow]:
    """In order, with their verdicts."""
    out = sorted((row for row in rows if row.verdict), key=lambda row: (-_progress(row), _loss(row)))
    ran = sorted((row for row in rows if not row.verdict), key=_loss)
    best = ran[0] if ran else None
    return [replace(row, verdict=_verdict(row, best)) for row in ran] + out


def _verdict(row: RaceRow, best: RaceRow | None) -> Verdict:
    if best is None or row.eval_loss is None or best.eval_loss is None:
        return ""
    if row is best:
        return "best"
    if row.spread is None or best.spread is None:
        return "one seed"
    return "within noise" if row.eval_loss - best.eval_loss < noise(row.spread, best.spread) else "worse"


def _progress(row: RaceRow) -> float:
    return row.step / row.steps if row.steps else 0.0


def _loss(row: RaceRow) -> float:
    return math.inf if row.eval_loss is None else row.eval_loss


def _mean(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """(mean, sample standard deviation) of what there is; no deviation for fewer than two."""
    there = [value for value in values if value is not None]
    if not there:
        return None, None
    return statistics.fmean(there), statistics.stdev(there) if len(there) > 1 else None
