"""The context window: the oldest turns go first, the last question never."""

from __future__ import annotations

import pytest

from engine.backend import Turn
from engine.chat.window import fit
from engine.protocol.errors import EngineError


def words(turns: tuple[Turn, ...]) -> int:
    return sum(len(turn.text.split()) for turn in turns)


def chat(pairs: int, last: str = "last one") -> tuple[Turn, ...]:
    turns: list[Turn] = []
    for number in range(pairs):
        turns += [Turn("user", f"q {number}"), Turn("assistant", f"a {number}")]
    return (*turns, Turn("user", last))


def test_what_fits_is_left_alone() -> None:
    turns = chat(3)
    assert fit(turns, words, words(turns)) is turns


@pytest.mark.parametrize(("budget", "pairs"), [(13, 2), (10, 2), (9, 1), (6, 1), (5, 0), (2, 0)])
def test_oldest_pairs_go_first(budget: int, pairs: int) -> None:
    assert fit(chat(3), words, budget) == chat(3)[6 - 2 * pairs :]


def test_a_long_chat_is_counted_a_few_times_only() -> None:
    calls = 0

    def count(turns: tuple[Turn, ...]) -> int:
        nonlocal calls
        calls += 1
        return words(turns)

    kept = fit(chat(1000), count, 100)
    assert words(kept) <= 100
    assert words(kept) > 95
    assert calls < 15


def test_a_system_turn_stays() -> None:
    turns = (Turn("system", "be brief"), *chat(3))
    assert fit(turns, words, 8) == (turns[0], *turns[-3:])


def test_unanswered_questions_and_a_leading_answer_go_too() -> None:
    turns = (Turn("assistant", "hello there you"), Turn("user", "a b"), Turn("user", "c d"))
    assert fit(turns, words, 3) == turns[2:]
    assert fit(turns, words, 5) == turns[1:]


def test_a_question_that_alone_is_too_long_says_both_numbers() -> None:
    with pytest.raises(EngineError) as caught:
        fit(chat(2, "word " * 1500), words, 1024)
    info = caught.value.info
    assert info.code == "prompt_too_long"
    assert "1,500 tokens" in info.title
    assert "1,024" in info.title
    assert info.remedy
