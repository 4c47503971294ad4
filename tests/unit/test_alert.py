"""The bell and the terminal's notification: what is written, and that no name can command the terminal."""

from __future__ import annotations

import pytest

from engine.api import settings_path
from tui.alert import notification, way, wrapped


def test_osc_9_by_default_and_777_where_the_terminal_is_known_for_it() -> None:
    assert notification("legal is done", {}) == "\x1b]9;Qwill: legal is done\x07"
    vte = notification("legal is done", {"VTE_VERSION": "7600"})
    assert vte == "\x1b]777;notify;Qwill;legal is done\x07"


def test_through_tmux_every_escape_is_doubled_inside_a_device_control_string() -> None:
    plain = notification("done", {})
    inside = wrapped(plain, {"TMUX": "/tmp/tmux-0/default,1,0"})
    assert inside == "\x1bPtmux;\x1b\x1b]9;Qwill: done\x07\x1b\\"
    assert wrapped(plain, {"STY": "1.pts"}).startswith("\x1bP\x1b]9;")
    assert wrapped(plain, {}) == plain


def test_a_name_ends_no_sequence_and_begins_none() -> None:
    text = notification("4;1;\x07\x1b]52;c;AAAA\x07\nx" + "y" * 999, {})
    assert text.count("\x1b") == 1
    assert text.count("\x07") == 1
    assert text.startswith("\x1b]9;Qwill: 4;1;")
    assert len(text) < 230


@pytest.mark.parametrize(
    ("words", "expected"),
    [("", "away"), ('[runs]\nnotify = "off"', "off"), ("[runs]\nnotify = 3", "away"), ("[runs", "away")],
)
def test_the_settings_say_whether_and_a_wrong_file_means_the_usual(words: str, expected: str) -> None:
    settings_path().parent.mkdir(parents=True, exist_ok=True)
    settings_path().write_text(words, encoding="utf-8")
    assert way() == expected
