"""The outbox merges what may be merged, and nothing else."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from engine.bus import EXACT_LIMIT, JOIN_LIMIT, Bus
from engine.protocol.events import ChatGone, ModelLoading, ReplyDone, TextDelta
from engine.protocol.specs import Message
from engine.protocol.wire import Event


def waiting(bus_events: list[object]) -> list[Event]:
    async def run() -> list[Event]:
        bus = Bus()
        outbox = bus.subscribe()
        for body in bus_events:
            bus.publish(body)
        return await outbox.take()

    return asyncio.run(run())


def delta(offset: int, text: str, message: str = "m") -> TextDelta:
    return TextDelta("c", message, "answer", offset, text)


def test_neighbouring_deltas_join() -> None:
    items = waiting([delta(0, "ab"), delta(2, "cd"), delta(0, "x", "other"), delta(4, "e")])
    assert [(i.body.message, i.body.offset, i.body.text) for i in items] == [
        ("m", 0, "abcde"),
        ("other", 0, "x"),
    ]


def test_a_delta_with_a_gap_stays_apart() -> None:
    items = waiting([delta(0, "ab"), delta(5, "cd")])
    assert [i.body.offset for i in items] == [0, 5]


def test_joined_deltas_stay_below_a_lines_limit() -> None:
    half = "x" * (JOIN_LIMIT // 2 + 1)
    items = waiting([delta(0, half), delta(len(half), half), delta(2 * len(half), "y")])
    assert [len(i.body.text) for i in items] == [len(half), len(half) + 1]


def test_the_latest_of_its_key_replaces_the_one_that_waits() -> None:
    items = waiting([ModelLoading("a", 0.1), ModelLoading("b", 0.5), ModelLoading("a", 0.9)])
    assert [(i.body.model, i.body.progress) for i in items] == [("b", 0.5), ("a", 0.9)]


def test_exact_events_keep_their_order_and_number() -> None:
    items = waiting([ChatGone("a"), delta(0, "x"), ReplyDone(Message("m", "c", "assistant")), ChatGone("b")])
    assert [type(i.body).__name__ for i in items] == ["ChatGone", "TextDelta", "ReplyDone", "ChatGone"]
    assert [i.seq for i in items] == sorted(i.seq for i in items)


def test_a_client_that_never_reads_is_cut_off() -> None:
    async def run() -> bool:
        bus = Bus()
        outbox = bus.subscribe()
        for number in range(EXACT_LIMIT + 2):
            bus.publish(ChatGone(str(number)))
        return outbox.overflowed

    assert asyncio.run(run())


@given(st.lists(st.tuples(st.sampled_from(["m", "n"]), st.text(min_size=1, max_size=5)), max_size=30))
def test_joined_text_is_the_text_that_was_published(pieces: list[tuple[str, str]]) -> None:
    length = {"m": 0, "n": 0}
    bodies: list[object] = []
    for message, text in pieces:
        bodies.append(delta(length[message], text, message))
        length[message] += len(text)
    if not bodies:
        return
    got = {"m": "", "n": ""}
    for item in waiting(bodies):
        assert item.body.offset == len(got[item.body.message])
        got[item.body.message] += item.body.text
    for message in got:
        assert got[message] == "".join(text for owner, text in pieces if owner == message)
