"""Titles: one clean line of at most 60 cells."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.chat.titles import WIDTH, cells, title_of


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("What is 2 + 2?", "What is 2 + 2?"),
        ("\n\n  first\tline  \nsecond", "first line"),
        ("", ""),
        (" \n\t", ""),
        ("\x1b[31mred\x07\u202e!\x9b", "[31mred!"),
        ("👩\u200d🚀 launch", "👩\u200d🚀 launch"),
        ("# Kira sözleşmesi nedir?", "Kira sözleşmesi nedir?"),
        ("```python\nx = 1\n```", "x = 1"),
        ("> 引用\n返事", "引用"),
        ("/no_think merhaba", "merhaba"),
        ("-5 + 3.14 * x?", "-5 + 3.14 * x?"),
        ("---\n🙂", "---"),
    ],
)
def test_title(text: str, title: str) -> None:
    assert title_of(text) == title


def test_a_long_line_is_cut_between_words() -> None:
    title = title_of("why does my loss jump after two hundred steps of training a small model")
    assert title == "why does my loss jump after two hundred steps of training a…"


def test_a_long_word_and_wide_letters_are_cut_where_they_stand() -> None:
    assert title_of("x" * 100) == "x" * 59 + "…"
    assert title_of("四" * 100) == "四" * 29 + "…"


@given(st.text())
def test_any_text_gives_a_clean_title_that_fits(text: str) -> None:
    title = title_of(text)
    assert cells(title) <= WIDTH
    assert title == " ".join(title.split())
    controls = [c for c in title if unicodedata.category(c).startswith("C") and c not in "\u200c\u200d"]
    assert controls == []
