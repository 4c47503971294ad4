"""Numbers as people read them."""

from __future__ import annotations

import time

import pytest

from tui import format as f


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0"), (512, "512 B"), (8_300_000, "7.9 M"), (3_650_000_000, "3.4 G"), (1023 << 20, "1.0 G")],
)
def test_sizes_are_binary_and_tight(count: int, shown: str) -> None:
    assert f.size(count) == shown


@pytest.mark.parametrize(
    ("duration", "shown"),
    [
        (0.04, "0.0 s"),
        (3.21, "3.2 s"),
        (48, "48 s"),
        (125, "2 min 5 s"),
        (120, "2 min"),
        (3840, "1 h 4 min"),
        (-1, "0.0 s"),
    ],
)
def test_durations(duration: float, shown: str) -> None:
    assert f.seconds(duration) == shown


@pytest.mark.parametrize(
    ("count", "shown"), [(61, "61"), (3100, "3.1k"), (2048, "2k"), (32768, "32k"), (12_345, "12k")]
)
def test_token_counts(count: int, shown: str) -> None:
    assert f.tokens(count) == shown


def test_rates_plurals_and_milliseconds() -> None:
    assert f.rate(41.23) == "41.2 tok/s"
    assert f.rate(168.4) == "168 tok/s"
    assert f.plural(1, "token") == "1 token"
    assert f.plural(2048, "token") == "2,048 tokens"
    assert f.milliseconds(180) == "180 ms"
    assert f.milliseconds(1400) == "1.4 s"
    assert f.percent(0.403) == "40 %"


def test_the_clock_names_the_day_only_when_it_is_another() -> None:
    now = time.mktime((2026, 3, 4, 15, 0, 0, 0, 0, -1))
    assert f.clock(now - 3600, now) == "14:00"
    assert f.clock(now - 2 * 86400, now) == "02 Mar 15:00"
    assert f.clock(0.0) == ""


def test_shorten_keeps_to_one_line_and_to_the_width() -> None:
    assert f.shorten("Loss jump\nafter warm-up", 12) == "Loss jump a…"
    assert f.shorten("short", 12) == "short"
    assert f.shorten("anything", 0) == ""
