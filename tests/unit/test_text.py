"""The choke point for untrusted text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.segment import Segment
from textual.color import Color

from tests.support.hostile import PAYLOADS
from tui.text import Sanitise, clean, clean_name

FORBIDDEN = {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0))} - {"\t", "\n"}
FORBIDDEN |= {*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}


@pytest.mark.parametrize("text", PAYLOADS.values(), ids=PAYLOADS.keys())
def test_no_payload_keeps_a_forbidden_character(text: str) -> None:
    assert not FORBIDDEN & set(clean(text))


@given(st.text())
def test_clean_drops_the_forbidden_and_nothing_else(text: str) -> None:
    assert clean(text) == "".join(character for character in text if character not in FORBIDDEN)


def test_what_people_write_stays_as_it_is() -> None:
    prose = "Grüße, 你好, שלום\n\tfn main() {}\n👩‍👩‍👧"
    assert clean(prose) == prose


def test_names_are_one_line_without_invisible_characters() -> None:
    assert clean_name("a\u200bb\nc\u202ed") == "ab cd"


def test_the_filter_cleans_what_is_painted_and_lets_control_segments_pass() -> None:
    control = Segment("\x1b[2J", None, [(1,)])  # type: ignore[list-item]
    done = Sanitise().apply([Segment("a\x1b]52;c;x\x07b"), control, Segment("plain")], Color(0, 0, 0))
    assert [segment.text for segment in done] == ["a]52;c;xb", "\x1b[2J", "plain"]
