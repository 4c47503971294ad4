"""What is kept of a run's log, and how the state follows a run."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.api import events, runs
from tests.support.fake_engine import snapshot
from tests.support.fake_runs import adapter, marks, points, run_info
from tui.curve import LIMIT, Curve, Moment, thin
from tui.dirty import Dirty, What
from tui.reduce import apply, from_snapshot
from tui.reduce_runs import take_curve
from tui.state import EngineState


def curve_of(losses: list[float]) -> Curve:
    curve = Curve()
    for step, loss in enumerate(losses, 1):
        curve.add(runs.StepPoint(step, loss=loss, at=float(step), memory=step))
    return curve


@settings(max_examples=8)
@given(st.lists(st.integers(1, 12_000), min_size=1, max_size=4, unique=True))
def test_a_long_curve_is_bounded_and_keeps_every_tall_spike(spikes: list[int]) -> None:
    losses = [1.0 + 1 / step for step in range(1, 12_001)]
    for rank, step in enumerate(spikes):
        losses[step - 1] = 10.0 + rank
    curve = curve_of(losses)
    assert len(curve.dots) <= 2 * LIMIT + 1
    assert max(dot.loss for dot in curve.dots) == 9.0 + len(spikes)
    assert min(dot.loss for dot in curve.dots) <= min(losses) + 1e-6
    assert [dot.step for dot in curve.dots] == sorted(dot.step for dot in curve.dots)
    assert (curve.dots[0].step, curve.last) == (1, 12_000)


def test_a_point_that_is_known_or_late_changes_nothing() -> None:
    curve = curve_of([2.0, 1.0])
    assert not curve.add(runs.StepPoint(2, loss=9.0))
    assert curve.add(runs.StepPoint(2, eval_loss=1.5))
    assert not curve.add(runs.StepPoint(2, eval_loss=1.5))
    assert [dot.loss for dot in curve.dots] == [2.0, 1.0]


def test_memory_over_time_keeps_its_peak_when_it_is_thinned() -> None:
    moments = [Moment(float(at), 1000 + (at == 37) * 500) for at in range(100)]
    thinned = thin(moments)
    assert len(thinned) <= 51
    assert max(moment.held for moment in thinned) == 1500


@pytest.fixture
def state() -> EngineState:
    state = EngineState()
    from_snapshot(state, snapshot())
    return state


def test_a_run_is_followed_step_by_step(state: EngineState) -> None:
    run = run_info(state="running", started=1.0)
    assert apply(state, events.RunChanged(run=run)) == {Dirty(What.RUNS, run.id)}
    point = runs.StepPoint(1, loss=3.5, at=2.0)
    dirty = apply(state, events.RunStepped(run=run.id, point=point, eta_s=24.0))
    assert dirty == {Dirty(What.RUNS, run.id), Dirty(What.CURVE, run.id)}
    assert (state.runs[run.id].step, state.runs[run.id].loss, state.etas[run.id]) == (1, 3.5, 24.0)
    apply(state, events.RunStepped(run=run.id, point=runs.StepPoint(1, eval_loss=3.0)))
    assert state.runs[run.id].eval_loss == 3.0
    mark = runs.PhaseMark("eval", 3.0, 1)
    assert apply(state, events.RunMarked(run=run.id, mark=mark)) == {Dirty(What.CURVE, run.id)}
    assert state.curves[run.id].marks == [mark]


def test_a_run_joined_in_its_middle_asks_for_its_log(state: EngineState) -> None:
    run = run_info(state="running")
    apply(state, events.RunChanged(run=run))
    late = events.RunStepped(run=run.id, point=runs.StepPoint(40, loss=1.0))
    assert Dirty(What.RUN_GAP, run.id) in apply(state, late)
    again = events.RunStepped(run=run.id, point=runs.StepPoint(41, loss=1.0))
    assert Dirty(What.RUN_GAP, run.id) not in apply(state, again)


def test_a_log_read_while_the_run_goes_on_loses_neither_end(state: EngineState) -> None:
    run = run_info(state="running")
    apply(state, events.RunChanged(run=run))
    for step in (40, 41):
        apply(state, events.RunStepped(run=run.id, point=runs.StepPoint(step, loss=1.0)))
    read = Curve()
    read.extend(points(40, 0.0), marks(40, 0.0))
    take_curve(state, run, read)
    assert [dot.step for dot in state.curves[run.id].dots] == list(range(1, 42))
    assert state.curves[run.id].whole


def test_the_end_of_a_run_is_told_once_and_its_log_read_again(state: EngineState) -> None:
    run = run_info(state="running")
    apply(state, events.RunChanged(run=run))
    done = run_info(state="done", ended=5.0)
    dirty = apply(state, events.RunChanged(run=done))
    assert {Dirty(What.RUN_END, run.id), Dirty(What.RUN_GAP, run.id)} <= dirty
    assert apply(state, events.RunChanged(run=done)) == {Dirty(What.RUNS, run.id)}


def test_a_change_told_late_does_not_take_steps_back(state: EngineState) -> None:
    run = run_info(state="running")
    apply(state, events.RunChanged(run=run))
    apply(state, events.RunStepped(run=run.id, point=runs.StepPoint(9, loss=1.0)))
    apply(state, events.RunChanged(run=run_info(state="running", step=7, loss=2.0, phase="eval")))
    assert (state.runs[run.id].step, state.runs[run.id].phase) == (9, "eval")


def test_a_run_that_ended_while_the_link_was_lost_is_told(state: EngineState) -> None:
    run = run_info(state="running")
    apply(state, events.RunChanged(run=run))
    dirty = from_snapshot(state, snapshot(runs=(run_info(state="failed", ended=9.0),)))
    assert Dirty(What.RUN_END, run.id) in dirty


def test_a_run_that_trains_at_the_start_has_its_log_read() -> None:
    state = EngineState()
    run = run_info(state="running", step=30)
    assert Dirty(What.RUN_GAP, run.id) in from_snapshot(state, snapshot(runs=(run,)))
    assert state.active_run() == run


def test_a_deleted_run_is_gone_with_its_curve(state: EngineState) -> None:
    run = run_info(state="done")
    apply(state, events.RunChanged(run=run))
    apply(state, events.RunStepped(run=run.id, point=runs.StepPoint(1, loss=1.0)))
    apply(state, events.RunGone(run=run.id))
    assert run.id not in state.runs
    assert run.id not in state.curves


def test_adapters_are_found_by_the_model_that_they_fit_newest_first(state: EngineState) -> None:
    old, new = adapter(run_info(1)), adapter(run_info(2))
    other = adapter(run_info(3), base="Qwen/Qwen3-1.7B")
    broken = adapter(run_info(4), why="Its weights are cut off")
    dirty = apply(state, events.AdaptersChanged(adapters=(old, new, other, broken)))
    assert dirty == {Dirty(What.ADAPTERS)}
    assert [each.id for each in state.fitting("demo")] == [new.id, old.id]
    assert state.adapter_name(new.id) == "pirate-r16"
    assert state.adapter_name("/gone/legal-r8") == "legal-r8"
