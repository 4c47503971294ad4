"""Folding marks and changes of a chat's path into the state."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from engine.api import events, specs
from tests.support.fake_engine import snapshot
from tui.reduce import Dirty, What, apply, from_snapshot, take_page
from tui.state import EngineState

CHAT = specs.ChatInfo(id="c", head="r2")


def message(name: str, parent: str | None, role: specs.Role = "assistant") -> specs.Message:
    return specs.Message(id=name, chat="c", role=role, parent=parent, text=name)


PATH = (message("q", None, "user"), message("r", "q"), message("q2", "r", "user"), message("r2", "q2"))


@pytest.fixture
def state() -> EngineState:
    """A chat of two questions and two replies."""
    state = EngineState()
    from_snapshot(state, snapshot(chats=(CHAT,)))
    take_page(state, CHAT, PATH, more=False, now=0.0)
    return state


def test_a_mark_changes_the_reply_and_nothing_else(state: EngineState) -> None:
    marked = replace(PATH[1], mark="good")
    assert apply(state, events.MessageChanged(message=marked)) == {Dirty(What.TURN, "r")}
    assert state.turns["r"].mark == "good"
    assert state.pages["c"].path == ["q", "r", "q2", "r2"]


def test_a_mark_on_a_message_that_was_never_read_is_no_news(state: EngineState) -> None:
    assert apply(state, events.MessageChanged(message=message("x", None))) == set()
    assert "x" not in state.turns


def test_a_path_that_ends_elsewhere_may_have_to_be_read_again(state: EngineState) -> None:
    here = apply(state, events.ChatChanged(chat=CHAT))
    elsewhere = apply(state, events.ChatChanged(chat=replace(CHAT, head="r")))
    assert Dirty(What.HEAD, "c") not in here
    assert Dirty(What.HEAD, "c") in elsewhere


def test_what_was_deleted_leaves_the_path_with_the_next_reading(state: EngineState) -> None:
    shorter = replace(CHAT, head="r")
    apply(state, events.ChatChanged(chat=shorter))
    take_page(state, shorter, PATH[:2], more=False, now=0.0)
    assert state.pages["c"].path == ["q", "r"]


def test_what_was_added_while_a_page_was_on_its_way_stays(state: EngineState) -> None:
    take_page(state, replace(CHAT, head="r"), PATH[:2], more=False, now=0.0)
    assert state.pages["c"].path == ["q", "r", "q2", "r2"]
