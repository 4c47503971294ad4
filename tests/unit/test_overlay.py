"""Curves of many runs over one axis: columns that keep spikes, gaps, smoothing, logarithms, the crosshair."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api import events, runs
from tests.support.fake_engine import snapshot
from tests.support.fake_runs import points, run_info
from tui.curve import Curve
from tui.overlay import (
    Column,
    Series,
    at_place,
    best_so_far,
    columns,
    extent,
    gaps,
    metrics_of,
    panned,
    scale_of,
    series_of,
    smoothed,
    zoomed,
)
from tui.overlay_cells import LETTERS, Canvas, bits, colour, letter
from tui.reduce import apply, from_snapshot
from tui.run_picks import Picks
from tui.run_view import RunView
from tui.state import EngineState

NAN = float("nan")


def curve_of(*found: runs.StepPoint) -> Curve:
    curve = Curve()
    curve.extend(found, ())
    return curve


def test_every_spike_of_a_hundred_thousand_points_is_in_its_column() -> None:
    ys = [1.0] * 100_000
    ys[33_333], ys[77_777] = 9.0, 0.1
    found = columns(Series(range(100_000), ys), 200, (0, 99_999))
    assert max(column.high for column in found if column) == 9.0
    assert min(column.low for column in found if column) == 0.1
    assert all(column is not None for column in found)


def test_what_is_no_number_is_a_gap_that_no_line_crosses() -> None:
    series = Series([0, 1, 2, 3], [1.0, NAN, 1.0, math.inf])
    found = columns(series, 4, (0, 3))
    assert [column is None for column in found] == [False, True, False, True]
    assert found[2] is not None
    assert found[2].broken
    assert bits(found, 1, (0, 2))[0][0] & 0xB8 == 0  # nothing drawn in the gap's column
    assert gaps(series, 4, (0, 3)) == {1, 3}


def test_a_single_point_and_equal_values_have_a_place_and_a_scale() -> None:
    found = columns(Series([5], [2.0]), 10, (5, 5))
    assert found[5] == Column(2.0, 2.0, 2.0, 2.0)
    low, high = scale_of([found])
    assert low < 2.0 < high
    assert scale_of([[]]) == (0.0, 1.0)
    assert extent([Series((), ())]) == (0.0, 1.0)
    assert columns(Series([1], [1.0]), 0, (0, 1)) == []


def test_a_log_axis_leaves_out_what_has_no_logarithm() -> None:
    found = columns(Series([0, 1, 2], [100.0, 0.0, -1.0]), 3, (0, 2), log=True)
    assert found[0] is not None
    assert found[0].high == 2.0
    assert found[1:] == [None, None]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), st.sampled_from([0.0, 0.6, 0.9]))
def test_smoothing_begins_at_the_first_value_and_stays_within_all(ys: list[float], weight: float) -> None:
    found = smoothed(ys, weight)
    assert found[0] == pytest.approx(ys[0])
    room = 1e-6 * max(1.0, *(abs(y) for y in ys))
    assert min(ys) - room <= min(found) <= max(found) <= max(ys) + room


def test_smoothing_passes_over_what_is_no_number() -> None:
    found = smoothed([1.0, NAN, 1.0], 0.9)
    assert found[0] == pytest.approx(1.0)
    assert math.isnan(found[1])
    assert found[2] == pytest.approx(1.0)


def test_a_run_can_be_drawn_by_step_epoch_tokens_and_time() -> None:
    curve = curve_of(
        runs.StepPoint(1, loss=3.0, tokens=100, seconds=2.0, at=50.0, epoch=0.5),
        runs.StepPoint(2, loss=2.0, tokens=140, seconds=1.0, at=53.0, epoch=1.0),
        runs.StepPoint(2, eval_loss=2.5, at=54.0),
    )
    assert [list(series_of(curve, "loss", axis).xs) for axis in ("step", "epoch", "tokens", "time")] == [
        [1.0, 2.0],
        [0.5, 1.0],
        [100.0, 240.0],
        [0.0, 3.0],
    ]
    assert list(series_of(curve, "speed", "step").ys) == [50.0, 140.0]
    assert series_of(curve, "eval", "tokens") == Series([240.0], [2.5])
    assert series_of(curve, "rate", "step") == Series((), ())


def test_an_objectives_own_numbers_are_metrics_too() -> None:
    curve = curve_of(runs.StepPoint(1, loss=0.7, metrics={"margin": 0.2}))
    assert metrics_of([curve])[-1] == "margin"
    assert list(series_of(curve, "margin", "step").ys) == [0.2]


def test_a_step_that_went_wrong_is_no_number_and_no_evaluation() -> None:
    curve = curve_of(runs.StepPoint(1, loss=2.0), runs.StepPoint(2, wrong="loss nan"))
    assert math.isnan(curve.dots[1].loss)
    assert curve.evals == []


def test_the_crosshair_takes_the_nearest_number() -> None:
    series = Series([0, 10, 20], [1.0, NAN, 3.0])
    assert at_place(series, 11) == (20, 3.0)
    assert at_place(series, 4) == (0, 1.0)
    assert at_place(Series([1], [NAN]), 1) is None
    assert at_place(Series((), ()), 1) is None


def test_only_what_is_lower_than_all_before_is_the_best_so_far() -> None:
    assert best_so_far([3.0, 2.0, 2.5, NAN, 1.0]) == [True, True, False, False, True]


def test_zoom_keeps_its_place_and_pan_stays_inside() -> None:
    assert zoomed((0.0, 1.0), 0.5, 1.0) == (0.5, 1.0)
    assert zoomed((0.5, 1.0), 2, 0.5) == (0.0, 1.0)
    assert zoomed((0.2, 0.4), 99, 0.3) == (0.0, 1.0)
    assert panned((0.5, 1.0), 0.5) == (0.5, 1.0)
    assert panned((0.5, 1.0), -0.5) == (0.25, 0.75)


def test_a_line_drawn_later_is_opaque_and_each_keeps_its_letter() -> None:
    canvas = Canvas(8, 1)
    flat = [Column(0.0, 0.0, 0.0, 0.0)] * 16
    for style in ("red", "blue"):
        canvas.draw(bits(flat, 1, (0, 1)), style)
    assert {style for _, style in canvas.rows[0]} == {"blue"}
    for number, style in enumerate(("red", "blue")):
        canvas.name(bits(flat, 1, (0, 1)), letter(number), style, shift=number)
    assert {"a", "b"} <= {sign for sign, _ in canvas.rows[0]}


def test_a_runs_colour_is_its_own_wherever_it_is_drawn() -> None:
    assert colour("0007-legal") == colour("0007-other")
    assert colour("0007-legal") != colour("0008-legal")
    assert len(set(LETTERS)) == len(LETTERS) == 62


def test_thirty_runs_lie_over_one_another_and_follow_their_steps_without_reading_again() -> None:
    state, picks = EngineState(), Picks()
    from_snapshot(state, snapshot())
    for number in range(1, 31):
        run = run_info(number, state="running", name=f"r{number}")
        apply(state, events.RunChanged(run=run))
        for point in points(40, 0.0):
            apply(state, events.RunStepped(run=run.id, point=point))
        picks.toggle(run.id)
    view = RunView(state, picks)
    view.follow(state, None)
    assert len(view.readings()) == 30
    assert sorted(line.number for line in view.lines()) == list(range(30))
    before = view.readings()[3].value
    fresh = view.drawn[3].id
    apply(state, events.RunStepped(run=fresh, point=runs.StepPoint(41, loss=0.01)))
    view.follow(state, None)
    assert view.readings()[3].value == 0.01 != before
    assert view.readings()[3].change == pytest.approx(0.01 - (view.readings()[0].value or 0))


def test_a_run_that_was_taken_up_again_forgets_the_steps_after_its_checkpoint() -> None:
    state = EngineState()
    from_snapshot(state, snapshot())
    run = run_info(state="running")
    apply(state, events.RunChanged(run=run))
    for step in range(1, 11):
        apply(state, events.RunStepped(run=run.id, point=runs.StepPoint(step, loss=float(step))))
    apply(state, events.RunChanged(run=run_info(state="running", step=6, resumed=(6,))))
    apply(state, events.RunStepped(run=run.id, point=runs.StepPoint(7, loss=0.5)))
    assert [dot.loss for dot in state.curves[run.id].dots] == [1, 2, 3, 4, 5, 6, 0.5]
