"""Memory in words, lines and charts: what stands in the pane and on the memory screen."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from textual.content import Content

from engine.api import events, memory, runs, specs
from tests.support.fake_engine import SAMPLE
from tests.support.fake_memory import (
    CARVE_OUT,
    HOLDINGS,
    RAM,
    START,
    G,
    gtt,
    marks,
    record,
    sample,
    short,
)
from tests.support.fake_runs import run_info
from tui.curve import Curve, Moment, thin
from tui.dirty import What
from tui.glyphs import dotted, needles, stacked
from tui.memory_points import moment_of, phase_at, room_of
from tui.memory_view import (
    MemoryView,
    Record,
    Track,
    area_of,
    in_its_time,
    newer_marks,
    record_of,
    round_top,
    series_of,
    strips_of,
    track_of,
)
from tui.memory_words import (
    gpu_word,
    is_set_aside,
    memory_sentences,
    parts_of,
    place_words,
    strain_words,
    times_less,
)
from tui.reduce import apply
from tui.state import EngineState
from tui.widgets.memory_chart import fitting, heights
from tui.widgets.memory_compare import compare_section, verdict
from tui.widgets.memory_help import memory_help
from tui.widgets.memory_lines import buckets, history, memory_section, other_pools, stretch
from tui.widgets.memory_sections import all_held, holds_section, pools_section, strain_section, torch_section

PANE = 27
"""Columns of the pane inside its line."""


def text(lines: Sequence[Content]) -> str:
    return "\n".join(line.plain for line in lines)


def colours(lines: Sequence[Content]) -> set[str]:
    return {str(span.style) for line in lines for span in line.spans}


def known(now: specs.MonitorSample) -> EngineState:
    return EngineState(monitor=now)


# --- words ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("AMD Radeon 780M Graphics", "780M"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("Intel(R) Arc(TM) A770 Graphics", "Arc A770"),
        ("AMD Radeon Graphics", "AMD Radeon Graphics"),
        ("evil\x1b]52;c;x\x07 card", "evil]52;c;x card"),
    ],
)
def test_a_gpu_is_called_as_its_owner_calls_it(name: str, word: str) -> None:
    assert gpu_word(name) == word


def test_a_pool_is_named_as_long_as_there_is_room() -> None:
    assert place_words(gtt()) == "780M, RAM lent to the GPU (GTT)"
    assert place_words(gtt(), 27) == "780M, RAM lent to the GPU"
    assert place_words(gtt(), 24) == "780M, RAM lent to GPU"
    assert place_words(gtt(), 20) == "RAM lent to GPU"
    assert len(place_words(gtt(), 9)) == 9


def test_what_is_how_many_times_less() -> None:
    assert times_less(32 * G, 8 * G) == "4.0 times less"
    assert times_less(8 * G, 32 * G) == "4.0 times more"
    assert times_less(1000, 1001) == "as much"
    assert times_less(0, 8) == ""
    assert verdict(32 * G, 8 * G) == "b held 4.0 times less: 24.0 G saved"


def test_calm_is_quiet_and_waiting_is_told() -> None:
    assert strain_words(sample()) == ("calm", False)
    assert strain_words(sample(pressure=memory.Pressure(3.0)))[0] == "calm, waited 3 % of 10 s"
    assert strain_words(short("critical", "Swap grows.")) == ("very short", True)


def test_without_a_screen_it_is_told_in_plain_lines() -> None:
    said = memory_sentences(sample())
    assert said[0] == "780M, RAM lent to the GPU (GTT), measured: ours 6.1 of 15.2 G, others 0.9 G."
    assert said[-3:] == [
        "Held by: model 3.4 G, cache 410 M, adapter 102 M, optimiser 205 M, activations 1.6 G.",
        "Swap: 0.",
        "Memory is calm.",
    ]
    assert memory_sentences(short("warn", "Swap grows"))[-1] == "Swap grows."
    assert memory_sentences(SAMPLE)[0] == "The engine holds 610 M."


# --- one sample ---------------------------------------------------------------------------------


def test_a_spike_that_is_over_is_in_the_point() -> None:
    point = moment_of(sample(ours=6.0, most=6.9))
    assert point.held == pytest.approx(6.0 * G, rel=0.01)
    assert point.high == pytest.approx(6.9 * G, rel=0.01)
    assert point.held - point.low == 100 << 20


def test_without_pools_the_point_is_what_the_engine_holds() -> None:
    point = moment_of(replace(SAMPLE, swings={"engine": memory.Swing(600_000_000, 900_000_000)}))
    assert (point.held, point.least, point.most) == (640_000_000, 600_000_000, 900_000_000)


def test_room_is_not_more_than_what_is_left_of_the_pool() -> None:
    assert room_of(gtt(6.1, total=None)) == int(15.2 * G) - int(6.1 * G)
    assert room_of(gtt(1.0, used=15 * G)) == 1 * G
    assert room_of(gtt(None)) is None


def test_thinning_keeps_the_least_and_the_most() -> None:
    moments = [Moment(float(at), 100, 90 - (at == 30) * 50, 110 + (at == 37) * 500) for at in range(100)]
    fewer = thin(moments)
    assert len(fewer) < 60
    assert (min(each.low for each in fewer), max(each.high for each in fewer)) == (40, 610)


# --- the pane -------------------------------------------------------------------------------------


@pytest.mark.parametrize("height", [20, 37])
def test_no_line_is_wider_than_the_pane(height: int) -> None:
    engine = known(short("warn", "Less than 10 % of the RAM is available, and programs wait for memory."))
    engine.memory = [moment_of(sample(START + at, most=6.9 if at == 30 else None)) for at in range(60)]
    assert engine.monitor is not None
    lines = memory_section(engine, engine.monitor, PANE, height) + other_pools(engine.monitor, 0, PANE)
    assert max(line.cell_length for line in lines) <= PANE
    assert "780M, RAM lent to GPU" in text(lines)
    assert "! Less than 10 %" in text(lines)
    assert ("model  3.4G" in text(lines)) is (height == 37)


def test_the_main_pool_stands_first_with_what_it_can_grow_to() -> None:
    lines = text(memory_section(known(sample()), sample(), PANE, 20)).split("\n")
    assert [line.split()[0] for line in lines] == ["780M,", "ours", "others", "RAM", "swap"]
    assert lines[1].split()[1] == "6.1"
    assert lines[1].split()[-1] == "15.2"
    assert lines[4].split() == ["swap", "0"]


def test_a_pool_that_is_unknown_is_a_dash_with_its_reason() -> None:
    blind = sample(pools=(gtt(None, used=None, why="The driver does not answer."), RAM))
    lines = memory_section(known(blind), blind, 40, 20)
    assert [line.split()[:2] for line in text(lines).split("\n")[1:3]] == [["ours", "–"], ["others", "–"]]
    assert "The driver does not answer." in text(lines)


def test_what_the_firmware_set_aside_never_warns() -> None:
    assert is_set_aside(CARVE_OUT, sample())
    lines = other_pools(sample(), 0, PANE)
    assert text(lines) == "  0.5 set aside by firmware"
    assert "$warning" not in colours(lines)
    spill = replace(CARVE_OUT, name="VRAM", total=16 * G, used=int(15.9 * G))
    card = sample(pools=(RAM, spill), gpus=(replace(sample().gpus[0], integrated=False),))
    assert "VRAM" in text(other_pools(card, 0, PANE))


def test_only_what_is_not_calm_has_the_warning_colour() -> None:
    assert "$warning" not in colours(memory_section(known(sample()), sample(), PANE, 37))
    worse = short("warn", "Swap grows.")
    assert "$warning" in colours(memory_section(known(worse), worse, PANE, 37))


def test_without_pools_the_pane_shows_what_every_engine_tells() -> None:
    lines = text(memory_section(known(SAMPLE), SAMPLE, PANE, 37)).split("\n")
    assert [line.split()[0] for line in lines] == ["engine", "others", "RAM", "swap"]


# --- what was held lately ---------------------------------------------------------------------------


def test_a_needle_is_a_moment_and_an_area_is_all_the_time() -> None:
    assert dotted(needles([(1, 1), (1, 4), None, (4, 4)], 1, 4)) == ["⣀⣇ ⣿"]
    assert dotted(needles([(0, 0)], 2, 0)) == [" ", " "]


@settings(max_examples=40)
@given(st.lists(st.none() | st.tuples(st.floats(0, 9), st.floats(0, 9)), max_size=40), st.integers(0, 6))
def test_needles_keep_to_their_size(found: list[tuple[float, float] | None], height: int) -> None:
    rows = dotted(needles(found, height, 9.0))
    assert [len(row) for row in rows] == [len(found)] * height


@settings(max_examples=40)
@given(st.lists(st.tuples(st.just("▓"), st.floats(-1, 2)), max_size=8), st.integers(0, 60))
def test_stacked_parts_are_as_wide_as_asked(parts: list[tuple[str, float]], width: int) -> None:
    assert len(stacked(parts, width)) == width


def test_a_small_part_has_a_cell() -> None:
    assert stacked([("█", 0.5), ("░", 0.001)], 10) == "█████░    "


def test_a_second_repaints_one_column() -> None:
    engine = known(sample())
    moments = [moment_of(sample(START + at)) for at in range(200)]
    engine.memory = moments[:151]
    before, _ = stretch(engine, 24)
    rows = text(history(engine, PANE, 2))
    engine.memory = moments[:153]
    after, _ = stretch(engine, 24)
    assert before == after
    changed = [one for one, other in zip(rows, text(history(engine, PANE, 2)), strict=True) if one != other]
    assert len(changed) <= 2


def test_columns_hold_the_least_and_the_most_and_go_on_through_gaps() -> None:
    moments = [Moment(0.0, 5), Moment(0.5, 9), Moment(9.0, 7, 6, 8)]
    assert buckets(moments, (0.0, 10.0), 1, 10) == [(5, 9)] * 9 + [(6, 8)]


def test_the_peak_names_its_phase() -> None:
    run = run_info(state="running", started=START, phase="train")
    engine = known(sample())
    engine.runs[run.id] = run
    engine.curves[run.id] = Curve(marks=list(marks(START, 6.0, 60)))
    engine.memory = [moment_of(sample(START + at, most=6.9 if at == 25 else None)) for at in range(1, 60)]
    assert "peak 6.9 G in eval" in text(history(engine, PANE, 1))


def test_a_history_carries_the_runs_step_and_loss() -> None:
    engine = EngineState()
    run = run_info(state="running", step=12, loss=0.7, tokens_per_s=250.0)
    engine.runs[run.id] = run
    dirty = apply(engine, events.Sampled(sample=sample()))
    assert {each.what for each in dirty} == {What.MONITOR}
    assert (engine.memory[-1].step, engine.memory[-1].loss, engine.memory[-1].speed) == (12, 0.7, 250.0)
    told = apply(engine, events.Sampled(sample=short("warn", "Swap grows.")))
    again = apply(engine, events.Sampled(sample=short("warn", "Swap still grows.")))
    calm = apply(engine, events.Sampled(sample=sample()))
    strained = [any(each.what is What.STRAIN for each in found) for found in (told, again, calm)]
    assert strained == [True, False, True]


# --- tracks over one axis ---------------------------------------------------------------------------


def track(held: float = 8.0, seconds: int = 100) -> Track:
    return track_of("legal", "0001-legal", record_of(record(START, held, seconds)), None, ())


def test_a_record_has_its_peak_and_those_of_its_phases() -> None:
    found = track()
    assert found.peak()[1] == "eval"
    assert found.peak()[0] == pytest.approx(9.0 * G, rel=0.02)
    assert [(each.phase, each.times) for each in found.phases()] == [
        ("load", 1),
        ("first step", 1),
        ("train", 4),
        ("eval", 3),
    ]


def test_what_is_measured_since_is_appended_once() -> None:
    page = record(START, 8.0, 50)
    live = [Moment(START + at, 5 * G) for at in range(40, 61)]
    found = track_of("x", "r", record_of(page), None, live)
    assert [point.at - START for point in found.points[-11:]] == [float(at) for at in range(50, 61)]


def test_a_run_without_a_record_is_drawn_from_its_log() -> None:
    curve = Curve()
    curve.extend(
        [runs.StepPoint(1, loss=2.0, at=START, memory=640), runs.StepPoint(2, loss=1.0, at=START + 1)], ()
    )
    found = track_of("x", "r", Record(), curve, ())
    assert [(point.held, point.loss) for point in found.points] == [(640, 2.0)]
    assert strips_of([found]) == ["memory", "loss"]


def test_peaks_of_ram_say_nothing_of_another_pool() -> None:
    told = [runs.PhaseMark("eval", START, peak=7, memory=7)]
    assert newer_marks(told, (), "gpu0.gtt")[0].peak == 0
    assert newer_marks(told, (), "ram")[0].peak == 7
    assert newer_marks(told, told, "ram") == []


def test_a_moment_belongs_to_the_run_that_was_under_way() -> None:
    run = run_info(state="done", started=START + 1, ended=START + 3)
    moments = [Moment(START + at, 1) for at in range(6)]
    assert [each.at - START for each in in_its_time(run, moments)] == [1, 2, 3]
    assert in_its_time(run_info(), moments) == []


def test_phases_are_found_by_time() -> None:
    found = [runs.PhaseMark("load", 1.0), runs.PhaseMark("train", 5.0), runs.PhaseMark("end", 9.0)]
    assert [phase_at(found, at) for at in (0.5, 1.0, 6.0, 9.5)] == ["", "load", "train", ""]


def test_a_spike_of_one_second_is_in_its_column() -> None:
    page = record(START, 4.0, 400)
    spiked = tuple(replace(point, most=9 * G) if at == 200 else point for at, point in enumerate(page.points))
    found = track_of("x", "r", record_of(replace(page, points=spiked)), None, ())
    shown = [column for column in area_of(found, 20, (0.0, 400.0)) if column]
    assert max(column.high for column in shown) == 9 * G
    assert all(column.last < 5 * G for column in shown)


def test_the_axis_stands_still_while_a_run_goes_on() -> None:
    view = MemoryView()
    view.tracks = [track(seconds=61)]
    view.tracks[0].live = True
    assert view.full() == (0.0, 90.0)
    view.tracks[0].points = track(seconds=89).points
    assert view.full() == (0.0, 90.0)
    ends = set()
    for seconds in range(60, 4000, 50):
        view.tracks[0].points[-1] = view.tracks[0].points[-1]._replace(at=START + seconds)
        ends.add(view.full()[1])
        assert view.full()[1] >= seconds
    assert len(ends) < 15
    view.tracks[0].live = False
    assert view.full()[1] == pytest.approx(3960.0)


def test_crosshair_and_zoom_stay_where_something_is() -> None:
    view = MemoryView()
    view.tracks = [track()]
    view.move_cross(-1, 50)
    assert view.cross == pytest.approx(100.0)
    view.move_cross(-1, 50)
    assert view.cross == pytest.approx(98.0)
    reading = view.reading(view.tracks[0])
    assert reading is not None
    assert reading.at == START + 98
    view.zoom(0.25)
    low, high = view.x()
    assert low <= 98 <= high
    assert high - low == pytest.approx(25.0)
    for _ in range(80):
        view.move_cross(-1, 50)
    low, high = view.x()
    assert view.cross is not None
    assert low - 0.01 <= view.cross <= high
    view.whole()
    assert view.x() == view.full()


def test_a_track_that_was_not_there_then_has_no_reading() -> None:
    view = MemoryView()
    view.tracks = [track(seconds=100), track(seconds=20)]
    view.cross = 90.0
    assert view.reading(view.tracks[0]) is not None
    assert view.reading(view.tracks[1]) is None
    assert view.reading(Track("empty")) is None


@settings(max_examples=40)
@given(st.floats(1, 1e13))
def test_a_scale_ends_at_a_round_number_above_the_highest(highest: float) -> None:
    for binary in (True, False):
        top = round_top(highest, binary=binary)
        assert highest <= top * 1.0001
        assert top <= highest * 10.5
    assert round_top(0) == 1.0


def test_strips_without_room_are_left_out_speed_first() -> None:
    assert fitting(["memory", "speed", "loss"], 14) == ["memory", "speed", "loss"]
    assert fitting(["memory", "speed", "loss"], 9) == ["memory", "loss"]
    assert fitting(["memory", "speed", "loss"], 5) == ["memory"]
    assert sum(heights(["memory", "speed", "loss"], 21)) == 21


def test_a_page_of_a_log_adds_no_phase_twice() -> None:
    curve, whole = Curve(), Curve()
    whole.extend((), marks(START, 8.0, 300))
    curve.extend((), marks(START, 8.0, 300))
    curve.take_newer(whole)
    assert curve.marks == whole.marks


# --- the screen's sections --------------------------------------------------------------------------


@pytest.mark.parametrize("width", [40, 46, 80])
def test_no_line_of_a_section_is_too_wide(width: int) -> None:
    now = short("critical", "Memory runs out: programs wait, and swap has grown by 300 MiB in ten seconds.")
    now = replace(now, limit=4 * G, limit_used=3 * G, shmem=300 << 20)
    found = [track(32.0), track(8.0)]
    lines = pools_section(now, width, sources=True) + strain_section(now, width, sources=True)
    lines += torch_section(now.torch, width) + compare_section(found, width)
    lines += [line for section in all_held(known(now), now, width) for line in section]
    assert max(line.cell_length for line in lines) <= width
    assert "this container" in text(lines)
    assert "mem_info_gtt_used" in text(lines)


def test_pools_stand_with_all_their_numbers() -> None:
    lines = text(pools_section(sample(), 46, sources=False)).split("\n")
    assert lines[1].split()[-1] == "measured"
    assert lines[2].split()[1:] == ["7.0", "6.1", "0.9", "15.2"]
    assert "set aside by the firmware" in lines[-1]
    assert "from" not in text(pools_section(sample(), 46, sources=False))


def test_an_engine_without_pools_still_has_a_row() -> None:
    lines = text(pools_section(SAMPLE, 46, sources=False)).split("\n")
    assert lines[1].strip() == "● RAM"
    assert lines[2].split()[1:4] == ["9.4", "0.6", "8.8"]


def test_what_is_held_adds_up_to_ours() -> None:
    lines = text(holds_section(HOLDINGS, int(6.1 * G), "HELD BY", 46)).split("\n")
    assert lines[0].split() == ["HELD", "BY", "6.1", "G"]
    assert any(line.split()[:3] == ["·", "other", "410"] for line in lines)
    assert sum(parts_of(HOLDINGS).values()) < 6.1 * G
    fewer = text(holds_section((*HOLDINGS, memory.Holding("other", 2 * G)), int(6.1 * G), "HELD BY", 46))
    assert fewer.split("\n")[0].split()[-2] == "6.1"


def test_two_runs_say_how_many_times_less() -> None:
    lines = text(compare_section([track(32.0), track(8.0)], 46))
    assert "b held 4.0 times less: 27.2 G saved" in lines
    bars = [line for line in lines.split("\n") if line.strip().startswith("█") and " in " in line]
    longest = [sum(not cell.isspace() for cell in bar.partition(" in ")[0]) for bar in bars]
    assert longest[0] == pytest.approx(4 * longest[1], abs=4)
    assert lines.count("PEAKS BY PHASE") == 1


def test_the_help_has_this_machines_terms_first() -> None:
    lines = text(memory_help(sample(), 80))
    assert "on this machine" in lines.split("\n")[0]
    assert "780M" in lines
    assert lines.index("● AMD APU, GTT mode") < lines.index("Apple")
    assert "Nothing was measured yet." in text(memory_help(None, 80))


def test_values_that_are_no_numbers_leave_gaps() -> None:
    points = [Moment(START + at, G, speed=0.0 if at < 5 else 10.0) for at in range(10)]
    series = series_of(Track("x", points=points), "speed")
    assert [math.isnan(value) for value in series.ys] == [True] * 5 + [False] * 5
    assert series_of(Track("x", points=points[:3]), "speed").xs == ()
