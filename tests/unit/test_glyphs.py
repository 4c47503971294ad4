"""Bars and sparklines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tui.glyphs import bar, braille, spark


def test_a_bar_shows_its_share() -> None:
    assert bar(0.5, 6) == "▓▓▓░░░"
    assert bar(0, 4) == "░░░░"
    assert bar(1.7, 4) == "▓▓▓▓"


def test_a_little_is_not_nothing() -> None:
    assert bar(0.001, 6) == "▓░░░░░"


@given(st.floats(-2, 3), st.integers(-3, 200))
def test_a_bar_is_always_as_wide_as_asked(fraction: float, width: int) -> None:
    assert len(bar(fraction, width)) == max(0, width)


def test_a_spark_scales_to_its_largest() -> None:
    assert spark([1, 4, 8], 3) == "▁▄█"
    assert spark([0, 0], 5) == "▁▁"
    assert spark([1, 2, 3, 4], 2, top=4) == "▆█"
    assert spark([], 5) == ""


@given(st.lists(st.floats(0, 1e6), max_size=50), st.integers(0, 30))
def test_charts_keep_to_their_width(values: list[float], width: int) -> None:
    assert len(spark(values, width)) == min(len(values), width)
    assert len(braille(values, width)) == min((len(values) + 1) // 2, width)


def test_braille_puts_two_values_into_a_cell() -> None:
    assert braille([0, 4, 4, 4], 2, top=4) == "⢸⣿"
