"""The thinking parser: no split, no tag and no end loses a character."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.chat.thinking import EARLY_STOP, TAGS, ThinkParser, prompt_opens_thinking, soft_switch

OPEN, CLOSE, WORD = 7, 8, 1


def run(parser: ThinkParser, pieces: list[tuple[int, str]]) -> tuple[str, str]:
    """All of a reply through a parser: its thinking and its answer."""
    parts = {"thinking": "", "answer": ""}
    for token, text in pieces:
        for part, out in parser.feed(token, text):
            assert out
            parts[part] += out
    for part, out in parser.flush():
        parts[part] += out
    return parts["thinking"], parts["answer"]


def by_text(text: str, started: bool = False, size: int = 1) -> tuple[str, str]:
    pieces = [(WORD, text[place : place + size]) for place in range(0, len(text), size)]
    return run(ThinkParser((), (), started), pieces)


def by_id(pieces: list[tuple[int, str]], started: bool = False) -> tuple[str, str]:
    return run(ThinkParser((OPEN,), (CLOSE,), started), pieces)


def test_ids_split_thinking_from_answer() -> None:
    pieces = [(OPEN, "<think>"), (WORD, "\nhm"), (CLOSE, "</think>"), (WORD, "\n\nFour")]
    assert by_id(pieces) == ("\nhm", "\n\nFour")


def test_prompt_that_opened_thinking() -> None:
    assert by_id([(WORD, "hm"), (CLOSE, "</think>"), (WORD, "Four")], started=True) == ("hm", "Four")


def test_thinking_that_never_ends_is_thinking() -> None:
    assert by_id([(OPEN, "<think>"), (WORD, "hm")]) == ("hm", "")
    assert by_text("<think>hm </thin") == ("hm </thin", "")


def test_end_tag_alone_is_dropped_and_the_answer_goes_on() -> None:
    assert by_id([(WORD, "hm"), (CLOSE, "</think>"), (WORD, "Four")]) == ("", "hmFour")
    assert by_text("hm</think>Four") == ("", "hmFour")


def test_text_tag_is_no_tag_where_ids_are_known() -> None:
    assert by_id([(WORD, "<think>"), (WORD, "x</think>")]) == ("", "<think>x</think>")


def test_tags_after_the_first_close_are_text_unless_special() -> None:
    start = [(OPEN, "<think>"), (WORD, "a"), (CLOSE, "</think>"), (WORD, "b")]
    assert by_id([*start, (OPEN, "<think>"), (WORD, "c")]) == ("a", "b<think>c")
    assert by_id([*start, (OPEN, ""), (WORD, "c"), (CLOSE, ""), (WORD, "d")]) == ("ac", "bd")
    assert by_text("<think>a</think>b<think>c</think>") == ("a", "b<think>c</think>")


def test_text_that_the_decoder_kept_back_before_a_tag_is_not_lost() -> None:
    assert by_id([(OPEN, "<think>"), (WORD, "a"), (CLOSE, "🦊</think>!")]) == ("a🦊", "!")
    assert by_id([(OPEN, "x")]) == ("", "x")


@pytest.mark.parametrize(("opening", "closing"), TAGS)
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_every_pair_of_tags_split_anywhere(opening: str, closing: str, size: int) -> None:
    assert by_text(f"{opening}hm{closing}Four", size=size) == ("hm", "Four")


def test_closing_tag_of_another_pair_is_text() -> None:
    assert by_text("<think>a</thought>b</think>c") == ("a</thought>b", "c")


def test_repeated_opening_tag_after_a_prompt_that_opened_it() -> None:
    """Dropped at the very start, a word of the thoughts later."""
    assert by_text("\n<think>a</think>b", started=True) == ("\na", "b")
    assert by_text("a <think> b</think>c", started=True) == ("a <think> b", "c")
    assert by_text("a <think> b</think>c", started=True, size=100) == ("a <think> b", "c")


def test_only_a_possible_tag_is_held_back() -> None:
    parser = ThinkParser((), (), False)
    assert parser.feed(WORD, "a < b <thi") == [("answer", "a < b ")]
    assert parser.feed(WORD, "s") == [("answer", "<this")]
    assert parser.feed(WORD, "<") == []
    assert parser.part == "answer"
    assert parser.flush() == [("answer", "<")]
    assert parser.flush() == []


PIECES = st.lists(st.sampled_from(["<think>", "</think>", "<thi", "</", "nk>", "<", "a", " ", "\n", "🦊"]))


@given(PIECES, st.lists(st.integers(1, 9)), st.booleans())
def test_no_split_changes_the_outcome_or_loses_a_character(
    words: list[str], sizes: list[int], started: bool
) -> None:
    """Any cut gives what one piece gives, and what is missing from the text is tags alone."""
    text = "".join(words)
    cuts, place = [], 0
    for size in sizes:
        cuts.append((WORD, text[place : place + size]))
        place += size
    cuts.append((WORD, text[place:]))
    split = run(ThinkParser((), (), started), cuts)
    assert split == run(ThinkParser((), (), started), [(WORD, text)])
    kept = len(split[0]) + len(split[1])
    lost = len(text) - kept
    assert lost in {7 * opens + 8 * closes for opens in (0, 1) for closes in (0, 1)}
    assert_is_text_without_tags(text, split)


def assert_is_text_without_tags(text: str, split: tuple[str, str]) -> None:
    """Some removal of at most one opening and one closing tag gives exactly the parts, in order."""
    candidates = {text}
    for tag in ("<think>", "</think>"):
        for base in tuple(candidates):
            for place in range(len(base)):
                if base.startswith(tag, place):
                    candidates.add(base[:place] + base[place + len(tag) :])
    wanted = {split[0] + split[1], split[1] + split[0]}
    # An answer, thoughts, and the rest of the answer: the thoughts stand somewhere inside.
    inside = {split[1][:n] + split[0] + split[1][n:] for n in range(len(split[1]) + 1)}
    assert candidates & (wanted | inside)


@given(st.lists(st.tuples(st.sampled_from([OPEN, CLOSE, WORD]), st.sampled_from(["", "a", "b c"]))))
def test_by_id_all_text_beside_tags_is_kept(tokens: list[tuple[int, str]]) -> None:
    tags = {OPEN: "<think>", CLOSE: "</think>", WORD: ""}
    thinking, answer = by_id([(token, tags[token] or text) for token, text in tokens])
    words = "".join(text for token, text in tokens if token == WORD)
    left = (thinking + answer).replace("<think>", "").replace("</think>", "")
    assert sorted(left) == sorted(words)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("What is 2 + 2? /no_think", False),
        ("/think harder", True),
        ("/no_think no, /think", True),
        ("/think then /no_think.", False),
        ("see /think.py or a/think or /thinking", None),
        ("", None),
    ],
)
def test_soft_switch(text: str, wanted: bool | None) -> None:
    assert soft_switch(text) is wanted


def test_prompt_opens_thinking() -> None:
    assert prompt_opens_thinking("<|Assistant|><think>\n")
    assert prompt_opens_thinking("[THINK]")
    assert not prompt_opens_thinking("<think>\n\n</think>\n\n")
    assert not prompt_opens_thinking("user: <think>\nassistant:")
    assert not prompt_opens_thinking("")


def test_early_stop_closes_thinking() -> None:
    assert by_text("<think>hm" + EARLY_STOP + "Four")[1] == "\n\nFour"
