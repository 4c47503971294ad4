"""The context window: the oldest turns go first, the last question never."""

from __future__ import annotations

import pytest

from engine.backend import Turn
from engine.chat.window import context_size, fit, front, look, prompt_budget
from engine.protocol.errors import EngineError
from engine.protocol.specs import ChatSettings, Sampling


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


def test_a_look_names_what_would_be_left_out() -> None:
    turns = (Turn("system", "be brief"), *chat(3))
    seen = look(turns, words, 8)
    assert seen.dropped == (1, 2, 3, 4)
    assert seen.turns == (turns[0], *turns[5:])
    assert (seen.whole, seen.tokens) == (words(turns), 8)
    assert look(turns, words, 100).dropped == ()


def test_a_look_at_a_question_that_is_too_long_still_answers() -> None:
    seen = look(chat(2, "word " * 50), words, 10)
    assert seen.dropped == (0, 1, 2, 3)
    assert seen.tokens == 50


def test_a_chat_that_would_rather_stop_says_what_to_do() -> None:
    assert fit(chat(3), words, 100, "stop") == chat(3)
    with pytest.raises(EngineError) as caught:
        fit(chat(3), words, 9, "stop")
    info = caught.value.info
    assert info.code == "context_full"
    assert "14 tokens" in info.title
    assert info.remedy
    with pytest.raises(EngineError) as caught:
        fit(chat(1, "word " * 50), words, 9, "stop")
    assert caught.value.info.code == "prompt_too_long"


@pytest.mark.parametrize("budget", range(2, 16))
def test_the_front_is_the_longest_beginning_that_fits(budget: int) -> None:
    last = Turn("user", "sum up")
    taken = front(chat(3), last, words, budget)
    assert words((*chat(3)[:taken], last)) <= budget
    assert taken == len(chat(3)) or words((*chat(3)[: taken + 1], last)) > budget


def test_the_chats_cap_counts_below_the_models_own_only() -> None:
    assert context_size(2048, ChatSettings()) == 2048
    assert context_size(2048, ChatSettings(context=512)) == 512
    assert context_size(2048, ChatSettings(context=9999)) == 2048


def test_room_is_left_for_the_reply() -> None:
    assert prompt_budget(32768, ChatSettings()) == 32768 - 512
    assert prompt_budget(400, ChatSettings()) == 300
    assert prompt_budget(400, ChatSettings(sampling=Sampling(max_tokens=10))) == 390
