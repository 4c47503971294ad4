"""Stop strings, conversations' caches, whose turn it is, and the names of what is served."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.backend import ReplySpec, Turn
from engine.live import LiveReply
from engine.protocol.events import ServingChanged
from engine.protocol.runs import AdapterInfo
from engine.protocol.serve import ServingInfo
from engine.protocol.specs import ChatSettings, Message, ModelInfo
from engine.queueing import FairQueue, Visit
from engine.serving.faults import Refused
from engine.serving.names import find, served
from engine.serving.slots import SLOTS, Slots
from engine.serving.stopping import StopWatch
from tui.dirty import Dirty, What
from tui.reduce import apply
from tui.state import State
from tui.widgets.header import serving_words


@given(
    st.text("ab\n", max_size=30),
    st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3),
    st.integers(1, 4),
)
def test_text_is_shown_up_to_the_first_stop_string_however_it_comes(
    text: str, stops: list[str], size: int
) -> None:
    watch, shown = StopWatch(stops), ""
    for start in range(0, len(text), size):
        shown += watch.feed(text[start : start + size])
    shown += watch.flush()
    places = [text.find(stop) for stop in stops if stop in text]
    assert watch.hit == bool(places)
    if not places:
        assert shown == text
    else:
        assert text.startswith(shown)
        assert not any(stop in shown for stop in stops)


def spec(*said: str, system: str = "") -> ReplySpec:
    roles = ("user", "assistant")
    turns = tuple(Turn(roles[place % 2], text) for place, text in enumerate(said))
    return ReplySpec("demo", "", turns, ChatSettings(system=system))


def test_a_conversation_finds_its_own_cache_again() -> None:
    slots = Slots()
    names = []
    for opening in ("one", "two"):
        names.append(slots.take(spec(opening)))
        slots.keep(names[-1], spec(opening), f"answer to {opening}")
    assert len(set(names)) == SLOTS == 2
    assert slots.take(spec("one", "answer to one\n", "and now?")) == names[0]
    slots.keep(names[0], spec("one", "answer to one", "and now?"), "later")
    assert slots.take(spec("two", system="other")) == names[1]  # the one used longest ago
    assert slots.take(spec("three")) == names[1]


async def test_replies_and_visits_alternate_while_both_wait() -> None:
    queue = FairQueue()
    replies = [LiveReply(Message(str(n), "c", "assistant")) for n in range(2)]
    visits = [Visit() for _ in range(4)]
    for each in [*visits, *replies]:
        queue.put(each)
    order = ["visit" if isinstance(await queue.get(), Visit) else "reply" for _ in range(6)]
    assert order == ["visit", "reply", "visit", "reply", "visit", "visit"]
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.put(replies[0])
    assert await waiting is replies[0]


def test_the_header_says_on_which_port_it_serves() -> None:
    state = State()
    info = ServingInfo("http://127.0.0.1:8123/v1", 8123, "demo")
    assert serving_words(state) == ""
    assert apply(state.engine, ServingChanged(info)) == {Dirty(What.ENGINE)}
    assert serving_words(state) == "serving :8123"
    apply(state.engine, ServingChanged(None))
    assert serving_words(state) == ""


def test_names_are_models_and_models_with_adapters() -> None:
    base = ModelInfo("org/base", "base", state="ready")
    other = ModelInfo("demo", "demo")
    remote = ModelInfo("box/far", "far", runs_on="server")
    broken = ModelInfo("bad", "bad", support="unsupported")
    adapters = [
        AdapterInfo("r1", "pirate", "p", base="org/base"),
        AdapterInfo("r2", "twin", "p", base="demo"),
        AdapterInfo("r3", "twin", "p", base="demo"),
        AdapterInfo("r4", "torn", "p", base="demo", why="It is broken"),
    ]
    known = served([other, remote, broken, base], adapters)
    assert [each.id for each in known] == ["org/base", "org/base+pirate", "demo", "demo+r2", "demo+r3"]
    assert find("base+pirate", known).adapter == adapters[0]
    assert find("org/base+r1", known).adapter == adapters[0]
    assert find("base", known).model == base
    for name in ("box/far", "bad", "demo+twin", "demo+torn", "", "/etc"):
        with pytest.raises(Refused) as refused:
            find(name, known)
        assert refused.value.status == 404
