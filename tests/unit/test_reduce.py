"""Folding events into the state."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api import ErrorInfo, events, specs
from tests.support.fake_engine import DEMO, SAMPLE, snapshot
from tests.support.fake_runs import run_info
from tui.curve import Curve
from tui.reduce import (
    ELSEWHERE,
    READ,
    Dirty,
    What,
    apply,
    from_snapshot,
    lose_link,
    open_page,
    take_older,
    take_page,
)
from tui.reduce_runs import CURVES, take_curve
from tui.state import EngineState, Page


def message(name: str, role: specs.Role = "assistant", **more: Any) -> specs.Message:
    return specs.Message(id=name, chat="c", role=role, **more)


@pytest.fixture
def state() -> EngineState:
    """A chat with one question and one live, empty reply."""
    state = EngineState()
    from_snapshot(state, snapshot(chats=(specs.ChatInfo(id="c", title="sums", model="demo"),)))
    page = (message("q", "user", text="2 + 2?"), message("r", parent="q", state="queued", model="demo"))
    take_page(state, state.chats["c"], page, more=False, now=0.0)
    return state


def delta(offset: int, text: str, part: specs.Part = "answer") -> events.TextDelta:
    return events.TextDelta(chat="c", message="r", part=part, offset=offset, text=text)


def test_text_grows_by_part(state: EngineState) -> None:
    assert apply(state, delta(0, "carry", "thinking")) == {Dirty(What.TURN, "r")}
    apply(state, delta(0, "4"))
    assert (state.turns["r"].thinking, state.turns["r"].text) == ("carry", "4")


def test_a_replayed_delta_changes_nothing(state: EngineState) -> None:
    apply(state, delta(0, "four"))
    assert apply(state, delta(0, "fo")) == set()
    assert apply(state, delta(2, "ur")) == set()
    assert state.turns["r"].text == "four"


def test_of_an_overlapping_delta_only_the_rest_counts(state: EngineState) -> None:
    apply(state, delta(0, "four"))
    apply(state, delta(2, "ur it is"))
    assert state.turns["r"].text == "four it is"


def test_a_gap_asks_for_the_chat_again_and_leaves_the_text(state: EngineState) -> None:
    assert apply(state, delta(3, "late")) == {Dirty(What.GAP, "c")}
    assert state.turns["r"].text == ""


@given(st.text(min_size=1, max_size=40), st.data())
def test_any_cutting_and_repeating_gives_the_text_once(text: str, data: st.DataObject) -> None:
    state = EngineState()
    apply(state, events.MessageAdded(message=message("r", state="answering")))
    sent = 0
    while sent < len(text):
        start = data.draw(st.integers(0, sent))
        end = data.draw(st.integers(sent + 1, len(text)))
        apply(state, delta(start, text[start:end]))
        sent = end
    assert state.turns["r"].text == text


def test_a_done_reply_is_what_the_store_says(state: EngineState) -> None:
    apply(state, delta(0, "fou"))
    apply(state, events.ReplyDone(message=message("r", parent="q", text="four", finish="stop")))
    assert state.turns["r"].text == "four"
    assert not state.turns["r"].live


def test_progress_feeds_the_speed_chart_and_a_new_prefill_clears_it(state: EngineState) -> None:
    stats = specs.ReplyStats(tokens=3, tokens_per_s=40.0)
    dirty = apply(state, events.ReplyProgress(chat="c", message="r", stats=stats), now=5.0)
    assert dirty == {Dirty(What.SPEED), Dirty(What.TURN, "r")}
    assert list(state.speeds) == [40.0]
    assert state.turns["r"].since == 5.0
    apply(state, events.ReplyMoved(chat="c", message="r", state="prefill"))
    assert not state.speeds


def test_a_new_version_takes_the_old_ones_place_on_the_path(state: EngineState) -> None:
    new = message("r2", parent="q", state="queued", version=2, versions=2)
    dirty = apply(state, events.MessageAdded(message=new))
    assert Dirty(What.PATH, "c") in dirty
    assert state.pages["c"].path == ["q", "r2"]
    assert state.turns["r"].versions == 2


def test_the_same_message_twice_stands_once_on_the_path(state: EngineState) -> None:
    for _ in range(2):
        apply(state, events.MessageAdded(message=message("q2", "user", parent="r")))
    assert state.pages["c"].path == ["q", "r", "q2"]


def test_a_message_on_an_unknown_branch_asks_for_the_chat_again(state: EngineState) -> None:
    dirty = apply(state, events.MessageAdded(message=message("x", parent="elsewhere")))
    assert Dirty(What.GAP, "c") in dirty


def test_loading_moves_the_model_and_the_reply_that_waits_for_it(state: EngineState) -> None:
    dirty = apply(state, events.ModelLoading(model="demo", progress=0.4, phase="reading weights"))
    assert dirty == {Dirty(What.MODELS), Dirty(What.TURN, "r")}
    assert state.models["demo"].state == "loading"
    assert state.models["demo"].progress == 0.4
    assert state.phases["demo"] == "reading weights"
    apply(state, events.ModelChanged(model=DEMO))
    assert state.phases == {}


def test_a_failed_load_becomes_a_notice(state: EngineState) -> None:
    error = ErrorInfo("bad_file", "demo cannot be read")
    dirty = apply(state, events.ModelChanged(model=DEMO, error=error))
    assert Dirty(What.NOTICE) in dirty
    assert list(state.notices) == [error]


def test_chats_come_change_and_go(state: EngineState) -> None:
    apply(state, events.ChatChanged(chat=specs.ChatInfo(id="d", title="new", updated=9.0)))
    assert [chat.id for chat in state.recent()] == ["d", "c"]
    apply(state, events.ChatGone(chat="d"))
    assert "d" not in state.chats


def test_a_sample_replaces_the_one_before(state: EngineState) -> None:
    newer = msgspec.structs.replace(SAMPLE, at=2.0)
    assert apply(state, events.Sampled(sample=newer)) == {Dirty(What.MONITOR)}
    assert state.monitor == newer


def test_a_dead_engine_interrupts_its_replies_and_keeps_their_text(state: EngineState) -> None:
    apply(state, delta(0, "fo"))
    lose_link(state, "gone", dead=True)
    turn = state.turns["r"]
    assert (turn.text, turn.live, turn.finish) == ("fo", False, "interrupted")
    assert state.link == "lost"


def test_a_lost_link_alone_interrupts_nothing(state: EngineState) -> None:
    lose_link(state, "gone", dead=False)
    assert state.turns["r"].live


def test_reading_a_chat_again_never_takes_shown_text_away(state: EngineState) -> None:
    apply(state, delta(0, "four it"))
    lose_link(state, "gone", dead=True)
    stored = message("r", parent="q", text="four", finish="interrupted")
    take_page(state, state.chats["c"], (message("q", "user"), stored), more=False, now=0.0)
    assert state.turns["r"].text == "four it"


def test_a_page_that_is_older_than_the_end_of_a_reply_does_not_take_it_back(state: EngineState) -> None:
    done = message("r", parent="q", text="It is 841.", finish="stop", state="done")
    apply(state, events.ReplyDone(message=done))
    page = (message("q", "user"), message("r", parent="q", text="It is", state="answering"))
    take_page(state, state.chats["c"], page, more=False, now=0.0)
    assert (state.turns["r"].state, state.turns["r"].text) == ("done", "It is 841.")


def test_a_fresh_snapshot_has_open_chats_read_again(state: EngineState) -> None:
    dirty = from_snapshot(state, snapshot())
    assert Dirty(What.GAP, "c") in dirty
    assert state.pages["c"].path == ["q", "r"]


def test_a_snapshot_brings_the_text_of_replies_under_way() -> None:
    state = EngineState()
    from_snapshot(state, snapshot(live=(message("r", text="so far", state="answering"),)))
    apply(state, delta(6, " and on"))
    assert state.turns["r"].text == "so far and on"


def test_older_messages_go_in_front_once(state: EngineState) -> None:
    older = (message("o1", "user"), message("o2"))
    take_older(state, "c", older, more=True)
    take_older(state, "c", older, more=False)
    assert state.pages["c"] == Page(["o1", "o2", "q", "r"], more=False)


@pytest.mark.parametrize(
    "body",
    [delta(0, "x"), events.ReplyMoved(chat="?", message="?", state="prefill"), events.ChatGone(chat="?")],
)
def test_news_about_the_unknown_does_no_harm(body: events.Body) -> None:
    apply(EngineState(), body)


def other(name: str, **more: Any) -> specs.Message:
    """A reply in a chat that was never opened here."""
    return specs.Message(id=name, chat="other", role="assistant", **more)


def test_what_other_clients_chat_about_is_forgotten_beyond_the_newest(state: EngineState) -> None:
    opened = set(state.turns)
    apply(state, events.MessageAdded(message=other("first")))
    apply(state, events.MessageAdded(message=other("waits", state="queued")))
    for number in range(3 * ELSEWHERE):
        reply = other(f"{number}", state="queued")
        apply(state, events.MessageAdded(message=reply))
        apply(state, events.ReplyDone(message=msgspec.structs.replace(reply, state="done", text="4")))
    assert opened | {"waits", f"{3 * ELSEWHERE - 1}"} <= set(state.turns)
    assert len(state.turns) <= len(opened) + 2 + ELSEWHERE
    assert "first" not in state.turns


def test_chats_opened_long_ago_are_no_longer_kept_in_memory(state: EngineState) -> None:
    for number in range(3 * READ):
        chat = specs.ChatInfo(id=f"c{number}", title="", model="demo")
        messages = tuple(
            specs.Message(id=f"{number}/{each}", chat=chat.id, role="user") for each in range(ELSEWHERE)
        )
        open_page(state, chat.id)
        take_page(state, chat, messages, more=False, now=0.0)
    open_page(state, "c1")  # the oldest one's turn is over long ago: it is read again
    assert list(state.pages)[-1] == f"c{3 * READ - 1}"
    assert state.path("c1") == []
    assert state.path(f"c{3 * READ - 1}")
    assert [turn.id for turn in state.path("c")] == ["q", "r"]  # its reply is still written
    assert len(state.pages) <= READ + 1
    assert len(state.turns) <= (READ + 2) * ELSEWHERE


def test_a_chat_that_is_shown_again_is_the_newest(state: EngineState) -> None:
    for name in ("a", "b"):
        take_page(state, specs.ChatInfo(id=name, title="", model="demo"), (), more=False, now=0.0)
    open_page(state, "a")
    assert list(state.pages) == ["c", "b", "a"]


def test_curves_of_ended_runs_are_forgotten_beyond_those_read_last(state: EngineState) -> None:
    going = run_info(0, id="going", state="running")
    apply(state, events.RunChanged(run=going))
    take_curve(state, going, Curve())
    for number in range(3 * CURVES):
        run = run_info(number, id=f"{number}", state="done", ended=2.0)
        apply(state, events.RunChanged(run=run))
        take_curve(state, run, Curve())
    assert len(state.curves) == CURVES + 1
    assert {"going", f"{3 * CURVES - 1}"} <= set(state.curves)


def test_curves_that_a_screen_draws_are_not_forgotten(state: EngineState) -> None:
    ended = [run_info(number, id=f"{number}", state="done", ended=2.0) for number in range(3 * CURVES)]
    state.drawn["runs"] = tuple(run.id for run in ended[: CURVES + 2])
    for run in ended:
        apply(state, events.RunChanged(run=run))
        take_curve(state, run, Curve())
    assert set(state.drawn["runs"]) <= set(state.curves)
    assert len(state.curves) == CURVES + 2 + CURVES
