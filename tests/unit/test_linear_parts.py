"""The linear chat without a terminal: several lines into one, wrapping, announcements, and its commands."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api import EngineError, ErrorInfo, specs
from tui.actions import BY_ID, BY_SLASH
from tui.cli import code
from tui.cli.options import asked_linear
from tui.linear import words
from tui.linear.commands import EXTRA, HANDLERS
from tui.linear.entry import Draft
from tui.linear.paper import Paper
from tui.linear.wrap import Wrap

REPLY = specs.Message("m", "c", "assistant", "841", finish="stop", stats=specs.ReplyStats(tokens=41))


def message(*lines: str) -> str | None:
    """What the lines become; None while more are wanted."""
    draft = Draft()
    return draft.text if [draft.add(line) for line in lines][-1] else None


@pytest.mark.parametrize(
    ("lines", "whole"),
    [
        (["hello"], "hello"),
        (["one\\"], None),
        (["one\\", "two"], "one\ntwo"),
        (["C:\\\\"], "C:\\\\"),
        (['"""'], None),
        (['"""one', "two\\"], None),
        (['"""', "one\\", "", 'two"""'], "one\\\n\ntwo"),
        (['"""on one line"""'], "on one line"),
    ],
)
def test_lines_become_one_message(lines: list[str], whole: str | None) -> None:
    assert message(*lines) == whole


def wrapped(text: str, width: int, indent: str = "", step: int = 1) -> str:
    wrap = Wrap(width, indent)
    pieces = [text[at : at + step] for at in range(0, len(text), step)]
    return "".join(map(wrap.feed, pieces)) + wrap.finish()


def test_prose_is_broken_between_words_and_code_is_not() -> None:
    text = "one two three four\n\n```python\nx = 'a line that is far too long'\n```\nfive six seven\n"
    assert wrapped(text, 10).splitlines() == [
        "one two",
        "three four",
        "",
        "```python",
        "x = 'a line that is far too long'",
        "```",
        "five six",
        "seven",
    ]


def test_a_wrapped_list_hangs_and_thoughts_are_indented() -> None:
    assert wrapped("  - one two three", 10) == "  - one\n  two\n  three"
    assert wrapped("one two three", 8, "  ") == "  one\n  two\n  three"


def test_chinese_is_broken_without_spaces() -> None:
    assert wrapped("漢字漢字漢字", 5) == "漢字\n漢字\n漢字"


@given(st.text(alphabet="ab `\n漢-|", max_size=80), st.integers(4, 30), st.integers(1, 9))
def test_wrapping_loses_nothing_however_it_comes(text: str, width: int, step: int) -> None:
    whole = wrapped(text, width, step=max(1, len(text)))
    assert wrapped(text, width, step=step) == whole
    assert "".join(whole.split()) == "".join(text.split())


def test_a_load_is_told_at_each_quarter_once() -> None:
    steps = words.LoadSteps("demo")
    said = [steps.tell(progress / 20) for progress in range(21)]
    assert [each for each in said if each] == [
        "Loading demo: 25 %.",
        "Loading demo: 50 %.",
        "Loading demo: 75 %.",
    ]


def test_how_a_reply_ended_is_one_sentence() -> None:
    assert words.ended(REPLY, 3.2) == "Done, 41 tokens in 3.2 s."
    stopped = specs.Message("m", "c", "assistant", finish="cancelled")
    assert words.ended(stopped, 1.0) == "Stopped."
    failed = specs.Message("m", "c", "assistant", finish="failed", error=ErrorInfo("x", "It broke", "why"))
    assert words.ended(failed, 1.0) == "It broke. why."


def test_in_a_pipe_the_answer_is_exact_and_announcements_are_apart() -> None:
    out, err = io.StringIO(), io.StringIO()
    paper = Paper(out, err)
    paper.say("Answer:")
    for piece in ("one ", "two\x1b[2J", " three"):
        paper.grow(piece)
    paper.say("Done.")
    assert out.getvalue() == "one two\x1b[2J three\n"
    assert err.getvalue() == "Answer:\nDone.\n"


def test_every_handler_is_for_an_action_that_exists() -> None:
    """An action that another screen takes out of the table must leave this one, too."""
    assert [action for action in HANDLERS if action not in BY_ID] == []
    assert [action for action in HANDLERS if not BY_ID[action].slash] == []
    assert [name for name in EXTRA if name in BY_SLASH and BY_SLASH[name].id in HANDLERS] == []


@pytest.mark.parametrize(
    ("environment", "linear"),
    [
        ({}, False),
        ({"QWILL_LINEAR": "1"}, True),
        ({"NO_COLOR": "1"}, True),
        ({"NO_COLOR": ""}, False),
        ({"NO_COLOR": "1", "QWILL_LINEAR": "0"}, False),
    ],
)
def test_the_environment_can_ask_for_lines(environment: dict[str, str], linear: bool) -> None:
    assert asked_linear(environment) is linear


TEXT = "Use this:\n\n```python\nprint(1)\n```\n\n1. or\n   ~~~\n   two\n   ~~~\n\n> ```\n> three\n"


def test_code_blocks_are_found_in_lists_and_quotes_and_when_never_closed() -> None:
    assert code.blocks(TEXT) == ["print(1)\n", "two\n", "three\n"]
    assert code.extract(TEXT, "2") == "two\n"
    assert code.extract(TEXT, "all") == "print(1)\n\ntwo\n\nthree\n"


@pytest.mark.parametrize(("text", "which"), [("no code", "1"), ("no code", "all"), (TEXT, "4")])
def test_no_code_is_one_sentence(text: str, which: str) -> None:
    with pytest.raises(EngineError) as caught:
        code.extract(text, which)
    assert caught.value.info.code == "no_code"
