"""Frames made smaller show the same screen as the frames themselves, whatever is in them."""

from __future__ import annotations

import random

import pyte
import pytest

from tui.thin import Thin, change

COLUMNS, LINES = 60, 12
SIZE = (COLUMNS, LINES)
STYLES = (
    "",
    "1",
    "2;38;5;7",
    "1;2;38;2;1;2;3",
    "38;2;100;200;192;48;2;15;20;25",
    "1;38;2;100;200;192;48;2;15;20;25",
    "3;4;31;42",
    "7;39;49",
    "9;91;104",
    "38;5;200",
    "48;5;17",
)
WORDS = (
    *("loss", "1.82", "   ", "─┬─", "⡇⢆⡀", "▓▓░░", "✓ fits", "· 3,104", "Überschrift", "Привет"),
    *("负责人", "セイ", "한글。", "（全）", "漢a字"),
    *("👍🏽 ok", "e\u0301a", "⏸ paused", "⚠️ hot", "नमस्ते"),
)


def frame(dice: random.Random, words: tuple[str, ...] = WORDS) -> str:
    """A few stretches of a few lines, as Textual writes them, and the cursor's place."""
    parts = []
    for _ in range(dice.randint(1, 6)):
        y = dice.randint(1, LINES)
        parts.append(f"\x1b[{y};{dice.randint(1, 12)}H")
        for _ in range(dice.randint(1, 5)):
            style, word = dice.choice(STYLES), dice.choice(words)
            parts.append(f"\x1b[{style}m{word}\x1b[0m" if style else word)
        parts.append("\n" if y < LINES else "")
    return "".join(parts) + f"\x1b[{dice.randint(1, LINES)};{dice.randint(1, COLUMNS)}H"


def cells(screen: pyte.Screen) -> list[list[tuple[object, ...]]]:
    """Every cell with its style."""
    return [[tuple(screen.buffer[y][x]) for x in range(COLUMNS)] for y in range(LINES)]


@pytest.mark.parametrize("seed", range(3))
def test_the_screen_is_the_same_after_every_frame(seed: int) -> None:
    dice, thin = random.Random(seed), Thin()
    plain, ours = pyte.Screen(COLUMNS, LINES), pyte.Screen(COLUMNS, LINES)
    one, other = pyte.Stream(plain), pyte.Stream(ours)
    last = ""
    for number in range(60):
        data = last if last and dice.random() < 0.2 else frame(dice)
        last = data
        one.feed(data)
        other.feed(thin.frame(data, SIZE))
        assert cells(ours) == cells(plain), f"frame {number}"
        assert (ours.cursor.x, ours.cursor.y) == (plain.cursor.x, plain.cursor.y)


def test_a_frame_that_changes_nothing_is_empty_and_one_digit_is_a_few_bytes() -> None:
    thin = Thin()
    line = "\x1b[3;1H\x1b[1;38;2;100;200;192;48;2;15;20;25m  {} tok/s ▁▃▅▆▆ of everything\x1b[0m\x1b[5;1H"
    assert len(thin.frame(line.format("41.2"), SIZE)) > 60
    assert thin.frame(line.format("41.2"), SIZE) == ""
    changed = thin.frame(line.format("41.3"), SIZE)
    assert "41" not in changed
    assert "3" in changed
    assert len(changed) < 60


def test_another_size_and_another_program_make_the_next_frame_whole() -> None:
    thin = Thin()
    line = "\x1b[1;1Hall of it\x1b[1;1H"
    assert "all of it" in thin.frame(line, SIZE)
    assert thin.frame(line, SIZE) == ""
    assert "all of it" in thin.frame(line, (80, 24))
    thin.forget()
    assert "all of it" in thin.frame(line, (80, 24))


def test_what_is_no_frame_comes_back_untouched_and_nothing_is_known_afterwards() -> None:
    thin = Thin()
    line = "\x1b[1;1Hall of it\x1b[1;1H"
    thin.frame(line, SIZE)
    picture = "\x1b[2;1H\x1bPq#0;2;0;0;0\x1b\\"
    assert thin.frame(picture, SIZE) == picture
    assert "all of it" in thin.frame(line, SIZE)


def test_characters_of_unsure_width_are_always_sent() -> None:
    thin = Thin()
    line = "\x1b[1;1H\x1b[1m⏸ paused\x1b[0m\x1b[1;1H"
    first = thin.frame(line, SIZE)
    assert "⏸ paused" in first
    assert thin.frame(line, SIZE) == first


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("38;2;1;2;3;48;2;9;9;9", "38;2;4;5;6;48;2;9;9;9", "\x1b[38;2;4;5;6m"),
        ("1;38;2;1;2;3", "38;2;1;2;3", "\x1b[22m"),
        ("1;2;31", "2;31", "\x1b[0;2;31m"),
        ("31;42", "31", "\x1b[49m"),
        ("31", "", "\x1b[0m"),
        ("", "4;31", "\x1b[4;31m"),
    ],
)
def test_of_a_style_only_what_changes_is_said(old: str, new: str, wanted: str) -> None:
    assert change(old, new) == wanted
