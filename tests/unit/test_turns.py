"""Which messages of a path are sent, and as what."""

from __future__ import annotations

from engine.protocol.specs import Attachment, ChatSettings, Message
from engine.turns import prompt_rows, sent, turn_of


def path(*texts: str) -> list[Message]:
    """Questions and replies by turns; the parent of each is the one before it."""
    return [
        Message(str(n), "c", "assistant" if n % 2 else "user", text, parent=str(n - 1) if n else None)
        for n, text in enumerate(texts)
    ]


def test_a_question_whose_reply_came_to_nothing_is_not_sent() -> None:
    assert [m.text for m in sent(path("a", "", "b", "B", "c", "", "d"))] == ["b", "B", "d"]


def test_the_newest_question_is_always_sent() -> None:
    assert [m.text for m in sent(path("a", "A", "b"))] == ["a", "A", "b"]
    assert [m.text for m in sent(path("a"))] == ["a"]


def test_questions_that_stand_in_a_row_on_purpose_stay() -> None:
    first, second = Message("u", "c", "user", "a"), Message("v", "c", "user", "b", parent="u")
    assert sent([first, second]) == [first, second]


def test_a_reply_that_only_called_a_tool_stays() -> None:
    called = Message("r", "c", "assistant", parent="u", extra='{"tool_calls": []}')
    asked, told = Message("u", "c", "user", "a"), Message("t", "c", "tool", "4", parent="r")
    assert sent([asked, called, told]) == [asked, called, told]


def test_files_stand_before_the_text() -> None:
    turn = turn_of(Message("u", "c", "user", "Why?", files=(Attachment("a.py", "x = 1\n"),)))
    assert turn.text.index("a.py") < turn.text.index("x = 1") < turn.text.index("Why?")


def test_rows_have_the_system_prompt_first_and_thoughts_only_where_they_were_sent() -> None:
    messages = [Message("u", "c", "user", "a"), Message("r", "c", "assistant", "A", "hm", parent="u")]
    assert prompt_rows(messages, ChatSettings(system="Be brief")) == [
        {"role": "system", "content": "Be brief"},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "A"},
    ]
    kept = prompt_rows(messages, ChatSettings(keep_thoughts=True))
    assert kept[-1] == {"role": "assistant", "content": "A", "reasoning_content": "hm"}
