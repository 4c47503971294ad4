"""A corpus of replies through the thinking parser: however they are cut into pieces, the outcome is one."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.chat.thinking import ThinkParser


class Reply(NamedTuple):
    """A reply as decoded, whether the prompt opened its thinking, and what it must come to."""

    text: str
    started: bool
    thinking: str
    answer: str


CORPUS = {
    "whole tags": Reply("<think>\nA sum.\n</think>\n\n841", False, "\nA sum.\n", "\n\n841"),
    "opener in the prompt": Reply("A sum.\n</think>\n\n841", True, "A sum.\n", "\n\n841"),
    "opener repeated after the prompt's": Reply("\n<think>\nA sum.</think>841", True, "\n\nA sum.", "841"),
    "end tag alone": Reply("</think>\n\n841", False, "", "\n\n841"),
    "partial start tag": Reply("<thin ice> is <thi", False, "", "<thin ice> is <thi"),
    "partial end tag": Reply("<think>a </thin b</think>c", False, "a </thin b", "c"),
    "empty block": Reply("<think>\n\n</think>\n\n841", False, "\n\n", "\n\n841"),
    "nothing in the block": Reply("<think></think>841", False, "", "841"),
    "never closed": Reply("<think>and on, and on", False, "and on, and on", ""),
    "never closed after the prompt's opener": Reply("and on </thi", True, "and on </thi", ""),
    "a tag inside a code fence of the answer": Reply(
        "<think>x</think>```xml\n<think>no</think>\n```", False, "x", "```xml\n<think>no</think>\n```"
    ),
    "an opening tag inside a fence of the thoughts": Reply(
        "<think>```\n<think>\n```\n</think>ok", False, "```\n<think>\n```\n", "ok"
    ),
    "brackets": Reply("[THINK]hm[/THINK]Bonjour", False, "hm", "Bonjour"),
    "another model's tags": Reply("<seed:think>hm</seed:think>ok", False, "hm", "ok"),
    "no thinking": Reply("841 < 842, and 1 <2", False, "", "841 < 842, and 1 <2"),
    "many bytes a character": Reply(
        "<think>数える 🧮</think>八百四十一 🎉", False, "数える 🧮", "八百四十一 🎉"
    ),
    "nothing": Reply("", False, "", ""),
}


def outcome(reply: Reply, pieces: list[str]) -> tuple[str, str]:
    """Thinking and answer after these pieces, each one token's text."""
    parser = ThinkParser((), (), reply.started)
    shown = [part for piece in pieces for part in parser.feed(0, piece)] + parser.flush()
    return tuple("".join(text for where, text in shown if where == part) for part in ("thinking", "answer"))  # type: ignore[return-value]


@pytest.mark.parametrize("name", CORPUS)
def test_in_one_piece_it_comes_to_this(name: str) -> None:
    reply = CORPUS[name]
    assert outcome(reply, [reply.text]) == (reply.thinking, reply.answer)


@pytest.mark.parametrize("name", CORPUS)
def test_no_cut_in_one_two_or_all_places_changes_it(name: str) -> None:
    reply = CORPUS[name]
    text, whole = reply.text, (reply.thinking, reply.answer)
    assert outcome(reply, list(text)) == whole
    for first, second in itertools.combinations_with_replacement(range(len(text) + 1), 2):
        assert outcome(reply, [text[:first], text[first:second], text[second:]]) == whole, (first, second)


@given(st.sampled_from(sorted(CORPUS)), st.lists(st.integers(1, 7), min_size=1))
def test_no_row_of_cuts_changes_it(name: str, sizes: list[int]) -> None:
    reply, pieces, at = CORPUS[name], [], 0
    for size in itertools.cycle(sizes):
        if at >= len(reply.text):
            break
        pieces.append(reply.text[at : at + size])
        at += size
    assert outcome(reply, pieces) == (reply.thinking, reply.answer)
