"""Slash commands: what is one, what is a message, and what a beginning could become."""

from __future__ import annotations

import pytest

from engine.api import EngineError, specs
from tests.support.fake_engine import snapshot
from tui.reduce import from_snapshot
from tui.sampling import change
from tui.slash import complete, parse
from tui.state import EngineState


@pytest.fixture
def engine() -> EngineState:
    state = EngineState()
    from_snapshot(state, snapshot())
    return state


@pytest.mark.parametrize(
    ("text", "action", "argument"),
    [
        ("/new", "new_chat", ""),
        ("/budget 256", "budget", "256"),
        ("/system Answer in\nverse.", "system", "Answer in\nverse."),
        ("/think", "think", ""),
        ("/bye ", "leave_app", ""),
    ],
)
def test_commands(text: str, action: str, argument: str) -> None:
    call = parse(text)
    assert call is not None
    assert call.action is not None
    assert (call.action.id, call.argument) == (action, argument)


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "/usr/bin is what?",
        " /new",
        "/no_think What is 2 + 2?",
        "What is 2 + 2? /no_think",
        "/",
        "1/2",
    ],
)
def test_messages_are_no_commands(text: str) -> None:
    assert parse(text) is None


def test_an_unknown_command_is_told_apart_from_a_message() -> None:
    call = parse("/nonsense at all")
    assert call is not None
    assert call.action is None


def test_a_beginning_is_completed(engine: EngineState) -> None:
    assert [each.text for each in complete("/mod", engine)] == ["/model", "/models"]
    assert {each.text for each in complete("/", engine)} >= {"/new", "/help", "/answer", "/bye"}
    assert complete("hello", engine) == []
    assert complete("/mo\nre", engine) == []


def test_arguments_are_completed_too(engine: EngineState) -> None:
    assert [each.text for each in complete("/model qwen", engine)] == [
        "/model Qwen3-1.7B",
        "/model Qwen3-0.6B-Base",
    ]
    assert [each.text for each in complete("/set temp", engine)] == ["/set temperature"]
    assert [each.text for each in complete("/theme terminal-", engine)] == ["/theme terminal-light"]
    assert complete("/theme terminal", engine) == []


def test_sampling_is_checked() -> None:
    plain = specs.Sampling()
    assert change(plain, "temperature", "0.7").temperature == 0.7
    assert change(plain, "top_k", "20").top_k == 20
    assert change(specs.Sampling(seed=3), "seed", "auto").seed is None
    for name, value in (
        ("temperature", "hot"),
        ("top_p", "2"),
        ("top_k", "1.5"),
        ("mood", "1"),
        ("top_p", "nan"),
    ):
        with pytest.raises(EngineError) as caught:
            change(plain, name, value)
        assert caught.value.info.code == "bad_setting"
