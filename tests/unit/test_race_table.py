"""Who goes on in a race, who is best beyond noise, and how the table is written."""

from __future__ import annotations

from typing import Any

import pytest

from engine.protocol.race import RaceInfo, RaceMember
from engine.protocol.runs import RunInfo
from engine.protocol.training import TrainSpec
from engine.runs import halving
from engine.runs.race_table import Measured, noise, table
from tui.race_cells import exact_rows_of, headline, note, rows_of, text_of


def told(losses: dict[str, list[float | None]], **changes: Any) -> Any:
    """A table of settings with a loss a seed; `stopped` names settings that were."""
    stopped, scorer = changes.pop("stopped", ()), changes.pop("scorer", "")
    members, runs = [], {}
    for setting, seeds in losses.items():
        for seed, loss in enumerate(seeds):
            run = f"{len(members) + 1:04}-r"
            members.append(RaceMember(run, setting, seed))
            out = setting in stopped
            runs[run] = RunInfo(
                run, TrainSpec("m", "d"), state="stopped" if out else "done", step=4 if out else 8, steps=8,
                eval_loss=loss, adapter=run, measured=3 << 20, forgetting=0.01,
            )  # fmt: skip
    race = RaceInfo("race-1", "=x", members=tuple(members), scorer=scorer, **changes)
    return table(race, runs, {run: Measured(12.0, 1 << 20) for run in runs})


def test_each_round_costs_about_as_much_as_the_one_before() -> None:
    assert halving.rungs(8, 0.5) == [(0.125, 4), (0.25, 2), (0.5, 1)]
    assert halving.rungs(3, 0.5) == [(0.25, 2), (0.5, 1)]
    assert halving.rungs(9, 1 / 3) == [pytest.approx((1 / 9, 3)), pytest.approx((1 / 3, 1))]
    assert halving.rungs(1, 0.5) == halving.rungs(8, 1.0) == []
    assert halving.rungs(3, 0.99)[-1][1] == 1  # it always comes to an end


def test_seeds_of_one_setting_count_together_and_the_base_never_counts() -> None:
    evals = {
        "a": [[(0.0, 0.1), (0.5, 3.0)], [(0.5, 1.0)]],
        "b": [[(0.0, 0.1), (0.6, 1.9)]],
        "c": [[(0.2, 0.1)]],
    }
    assert halving.ranked(evals, 0.5) == ["b", "a"]


def test_a_difference_below_the_pooled_deviation_is_noise() -> None:
    rows = told({"a": [1.0, 1.2], "b": [1.1, 1.3], "c": [2.0, 2.2]}).rows
    assert [row.verdict for row in rows] == ["best", "within noise", "worse"]
    assert rows[0].spread == pytest.approx(0.1414, abs=1e-4)
    assert noise(3.0, 4.0) == pytest.approx(12.5**0.5)


def test_one_seed_says_nothing_of_noise_and_stopped_ones_are_not_compared() -> None:
    found = told({"a": [1.0], "b": [1.1], "c": [0.9]}, stopped=("c",))
    assert [(row.setting, row.verdict) for row in found.rows] == [
        ("a", "best"), ("b", "one seed"), ("c", "stopped"),
    ]  # fmt: skip
    assert "seeds=3" in note(found)


def test_a_member_without_a_number_leaves_the_others_theirs() -> None:
    rows = told({"a": [None, 1.0], "b": [None]}).rows
    assert [(row.eval_loss, row.spread) for row in rows] == [(1.0, None), (None, None)]


def test_scores_are_awaited_and_their_failure_stands_in_the_cell() -> None:
    half = told({"a": [1.0], "b": [2.0]}, scorer="x", scores={"0001-r": "0.5"})
    assert not half.over
    whole = told(
        {"a": [1.0], "b": [2.0]}, scorer="x", scores={"0001-r": "0.5", "0002-r": "!it printed no number"}
    )
    assert whole.over
    assert [row[-1] for row in rows_of(whole)] == ["score", "0.5", "it printed no number"]


def test_the_table_is_written_for_people_spreadsheets_and_papers() -> None:
    found = told({"dora_r8": [1.0, 1.2], "r4": [2.0, 2.2]}, stopped=("r4",))
    assert headline(found).startswith("=x · 4 runs")
    assert rows_of(found)[1] == [
        "dora_r8", "1.100 ± 0.141", "best", "8", "12 s", "3.0 M", "1.0 M", "+0.010",
    ]  # fmt: skip
    assert rows_of(found)[2][3] == "4 of 8"
    assert "| dora_r8 | 1.100 ± 0.141 | best" in text_of(found, "markdown")
    assert r"dora\_r8 & 1.100 $\pm$ 0.141" in text_of(found, "latex")
    [header, first, _] = exact_rows_of(found)
    assert dict(zip(header, first, strict=True))["runs"] == "0001-r 0002-r"
    assert text_of(found, "csv").splitlines()[1].startswith("dora_r8,2,done done,1.1,0.14142135623730")
