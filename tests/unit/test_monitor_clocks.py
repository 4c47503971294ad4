"""Clocks that jump: somebody sets the time, or a lid is closed. No rate becomes negative or huge."""

from __future__ import annotations

import itertools
import math
import re
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.api import events, runs
from engine.monitor.sample import Sampler
from engine.runs.pace import Pace
from tests.support.fake_engine import snapshot
from tests.support.fake_runs import points, run_info
from tests.support.machine_tree import machine, patient
from tui.format import seconds
from tui.glyphs import Range
from tui.reduce import apply, from_snapshot
from tui.run_picks import Picks
from tui.run_values import value
from tui.run_view import RunView
from tui.state import EngineState
from tui.widgets.run_lines import phase_marks

__all__ = ["patient"]
pytestmark = pytest.mark.usefixtures("patient")
HOUR = 3600.0
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def jumping(monkeypatch: pytest.MonkeyPatch) -> None:
    """The wall clock is an hour ahead, right, an hour behind, and so on."""
    real, offsets = time.time, itertools.cycle((HOUR, 0.0, -HOUR, 8 * HOUR))
    monkeypatch.setattr(time, "time", lambda: real() + next(offsets))


def busy(until: float) -> Iterator[float]:
    while time.monotonic() < until:
        yield math.sqrt(2.0)


def test_the_engine_s_share_of_the_cpu_goes_by_a_clock_that_nobody_sets(jumping: None) -> None:
    """Half a second of work is about a core, whatever the time of day does meanwhile."""
    sampler = Sampler(readers=[])
    sum(busy(time.monotonic() + 0.3))
    first = sampler.sample()
    sum(busy(time.monotonic() + 0.3))
    second = sampler.sample()
    assert 0.0 < first.engine_cpu <= first.cores
    assert 0.0 < second.engine_cpu <= second.cores
    assert abs(first.at - second.at) > HOUR / 2


@pytest.mark.parametrize("gone", [0.0, 0.001, HOUR, 30 * 24 * HOUR])
def test_after_a_sleep_no_share_is_negative_or_huge(
    gone: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The monotonic clock stands still while Linux sleeps, and runs on elsewhere: both are fine."""
    shown = [1000.0]
    clock = SimpleNamespace(monotonic=lambda: shown[0], time=lambda: 0.0)
    for module in ("processes", "fdinfo", "intel"):
        monkeypatch.setattr(f"engine.monitor.{module}.time", clock)
    sampler, files = machine("intel-arc", tmp_path)
    sampler.sample()
    shown[0] += 1.0
    sampler.sample()
    stat = files.folder / "proc/4242/stat"
    stat.write_text(stat.read_text().replace(" 5000 1000 ", " 9000 3000 "))
    energy = files.folder / "sys/class/drm/card0/device/hwmon/hwmon2/energy1_input"
    energy.write_text("5000000100\n")
    shown[0] += gone
    sample = sampler.sample()
    assert 0.0 <= sample.engine_cpu <= sample.cores
    assert sample.gpus[0].power is not None
    assert 0.0 <= sample.gpus[0].power < 1.0
    assert sample.gpus[0].busy == 0.0


def test_the_load_of_the_cpu_is_a_share_of_its_own_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ticks against ticks: no clock plays a part, and a counter that begins anew is no load."""
    monkeypatch.setattr("engine.monitor.cpu.SHORTEST", 0.0)
    sampler, files = machine("no-gpu", tmp_path)
    stat = files.folder / "proc/stat"
    for line, share in (
        ("cpu  10300 0 2000 88700 0 0 0 0 0 0", 0.3),
        ("cpu  10300 0 2000 88700 0 0 0 0 0 0", 0.3),
        ("cpu  nonsense", 0.3),
        ("cpu  1 0 0 9 0 0 0 0 0 0", 0.3),
        ("cpu  2 0 0 18 0 0 0 0 0 0", 0.1),
    ):
        stat.write_text(line + "\n")
        assert sampler.sample().cpu == pytest.approx(share)


def test_the_pace_of_a_run_is_its_steps_own_seconds() -> None:
    """When its steps ended by the wall clock plays no part."""
    pace = Pace()
    for step, at in enumerate((1000.0, 4600.0, -2600.0, 0.0, 1e12), 1):
        pace.add(runs.StepPoint(step, loss=1.0, tokens=50, seconds=0.5, at=at))
    assert pace.tokens_per_s == pytest.approx(100.0)
    assert pace.eta_s(5, 105) == pytest.approx(50.0)


def test_a_run_that_ended_before_it_began_took_no_time() -> None:
    back = run_info(state="done", started=10_000.0, ended=10_000.0 - HOUR)
    assert back.took == 0.0
    assert run_info(state="done", started=10_000.0, ended=10_030.0).took == 30.0
    assert run_info(started=10_000.0).took == 0.0
    running = run_info(state="running", started=time.time() + HOUR)
    assert value(running, "time") == 0.0
    assert seconds(-HOUR) == "0.0 s"


def test_curves_by_time_are_drawn_though_the_clock_was_set_back() -> None:
    """On the axis of time no point stands before the one before it, and speeds stay what they were."""
    state, picks = EngineState(), Picks()
    from_snapshot(state, snapshot())
    run = run_info(state="running", started=50_000.0)
    apply(state, events.RunChanged(run=run))
    for number, point in enumerate(points(40, 50_000.0)):
        moved = runs.StepPoint(
            **{f: getattr(point, f) for f in point.__struct_fields__}
            | {"at": point.at - (HOUR if number > 20 else 0.0), "tokens": 100, "seconds": 0.2}
        )
        apply(state, events.RunStepped(run=run.id, point=moved))
    picks.toggle(run.id)
    view = RunView(state, picks)
    view.follow(state, None)
    view.axis = "time"
    xs = list(view.series(run, "loss").xs)
    assert len(xs) >= 40
    assert xs == sorted(xs)
    assert all(speed == pytest.approx(500.0) for speed in view.series(run, "speed").ys)


def test_phases_are_marked_where_the_clock_was_right() -> None:
    marks = [
        runs.PhaseMark(phase, at)
        for phase, at in (("load", 0.0), ("train", 5.0), ("eval", 5.0 - HOUR), ("save", 9.0 + HOUR))
    ]
    span: Range = (0.0, 10.0)
    assert "train" in phase_marks(marks, 40, span)
    assert phase_marks(marks, 40, (5.0, 5.0)) == ""


WALL = re.compile(r"time\.time\(\)\)? - |- \(?time\.time\(\)")
SOUND = re.compile(r"time\.time\(\) - [A-Z_]+\b| <=? | > |max\(0\.0, ")
"""A moment so long ago, a comparison with an age, an age that is never negative."""


def test_no_duration_is_reckoned_from_the_time_of_day() -> None:
    """Rates, speeds and what is left are differences of a clock that only goes forward."""
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for top in ("engine", "tui")
        for path in sorted((ROOT / top).rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if WALL.search(line) and not SOUND.search(line)
    ]
    assert found == []
