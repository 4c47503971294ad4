"""The loss chart, the phases on their axis, and numbers of runs in words."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from engine.api import runs
from tests.support.fake_runs import marks, points, run_info
from tui.curve import Curve
from tui.glyphs import chart, place
from tui.state import EngineState
from tui.widgets.run_lines import (
    EVAL,
    loss_chart,
    loss_range,
    memory_peak,
    number,
    phase_marks,
    shown_run,
    steps_shown,
)

POINTS = st.lists(st.tuples(st.floats(0, 100), st.floats(-5, 20) | st.just(float("nan"))), max_size=60)


@given(POINTS, st.integers(0, 30), st.integers(0, 8))
def test_a_chart_always_has_its_size(found: list[tuple[float, float]], width: int, height: int) -> None:
    rows = chart(found, width, height, (0, 100), (0, 10))
    assert [len(row) for row in rows] == [width] * height
    assert all(0x2800 <= ord(cell) <= 0x28FF for row in rows for cell in row)


def test_a_falling_line_goes_from_the_top_left_to_the_bottom_right() -> None:
    rows = chart([(0, 4), (4, 0)], 4, 2, (0, 4), (0, 4))
    assert rows[0][0] != "⠀"
    assert rows[1][-1] != "⠀"
    assert rows[1][0] == "⠀"


def test_one_spike_among_ten_thousand_points_reaches_the_top() -> None:
    flat = [(float(step), 1.0) for step in range(10_000)]
    flat[6_000] = (6_000.0, 9.0)
    rows = chart(flat, 20, 5, (0, 10_000), (0, 9))
    assert [at for at, cell in enumerate(rows[0]) if cell != "⠀"] == [12]
    assert rows[-1].count("⠀") == 0


def test_what_is_not_a_number_stands_at_the_top() -> None:
    rows = chart([(0, 1.0), (1, float("nan"))], 1, 2, (0, 1), (0, 2))
    assert ord(rows[0]) & 0x08


def test_marks_fall_into_the_cells_of_the_same_ranges() -> None:
    assert place([(0, 0), (10, 5)], 10, 4, (0, 10), (0, 5)) == [(3, 0), (0, 9)]


def test_a_runs_chart_has_its_evaluations_on_it() -> None:
    curve = Curve()
    curve.extend(points(100, 0.0), marks(100, 0.0))
    rows = loss_chart(run_info(state="done"), curve, 24, 5)
    assert "".join(row.plain for row in rows).count(EVAL) == 5


def test_a_chart_of_a_run_under_way_spans_the_half_that_is_begun() -> None:
    assert steps_shown(run_info(state="running", steps=800), 90) == (1, 100)
    assert steps_shown(run_info(state="running", steps=800), 500) == (1, 800)
    assert steps_shown(run_info(state="stopped", steps=800), 90) == (1, 90)


def test_the_scale_starts_at_nothing_where_the_loss_came_near_it() -> None:
    curve = Curve()
    curve.extend([runs.StepPoint(1, loss=4.0), runs.StepPoint(2, loss=0.5)], ())
    assert loss_range(curve) == (0.0, 4.0)
    high = Curve()
    high.extend([runs.StepPoint(1, loss=4.0), runs.StepPoint(2, loss=3.0)], ())
    assert 2.5 < loss_range(high)[0] < 3.0


def test_losses_are_short_and_what_is_none_says_so() -> None:
    assert [number(loss) for loss in (1.816, 0.0613, None, float("nan"))] == ["1.82", "0.061", "–", "NaN"]


def test_phases_are_named_where_there_is_room_and_once() -> None:
    row = phase_marks(marks(60, 0.0), 60, (0.0, 16.0))
    assert len(row) == 60
    assert row.count("eval") == 1
    assert row.count("╵") >= 5
    assert "train" in row
    assert phase_marks(marks(60, 0.0), 0, (0.0, 16.0)) == ""


def test_the_peak_belongs_to_the_phase_that_reached_it() -> None:
    curve = Curve()
    curve.extend((), marks(40, 0.0))
    assert memory_peak(curve) == (900_000_000, "first step")


def test_the_pane_shows_what_trains_else_what_ended_today() -> None:
    engine, now = EngineState(), time.time()
    yesterday = run_info(1, state="done", ended=now - 90_000)
    engine.runs = {yesterday.id: yesterday}
    assert shown_run(engine, now) is None
    today = run_info(2, state="done", ended=now)
    engine.runs[today.id] = today
    assert shown_run(engine, now) == today
    running = run_info(3, state="running")
    engine.runs[running.id] = running
    assert shown_run(engine, now) == running
