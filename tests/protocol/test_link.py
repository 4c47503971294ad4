"""One server, one client, over a real socket and in process: the same behaviour."""

from __future__ import annotations

import asyncio
import contextlib
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from engine.bus import Bus
from engine.client import LOST, Client, greet
from engine.protocol import commands as c
from engine.protocol.errors import EngineError, EngineLost, fault
from engine.protocol.events import ChatGone, TextDelta
from engine.protocol.specs import EngineInfo, Snapshot
from engine.protocol.wire import LINE_LIMIT, Hello, Refused, Welcome, decode_engine, encode
from engine.server import Server
from engine.transports import Link, open_unix, queue_pair


class SmallDesk:
    """Answers Status, refuses what else, and fails on Shutdown."""

    def __init__(self) -> None:
        self.bus = Bus()
        self.seats = 0

    def snapshot(self) -> Snapshot:
        return Snapshot(EngineInfo("e", 1, "0.1.0", 0.0))

    def seated(self) -> None:
        self.seats += 1

    async def handle(self, command: c.AnyCommand) -> msgspec.Struct:
        if isinstance(command, c.Status):
            return self.snapshot().engine
        if isinstance(command, c.Shutdown):
            raise ZeroDivisionError("unforeseen")
        raise fault("nope", "No", remedy="Ask for something else")


class Bench:
    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.path = folder / "s.sock"
        self.desk = SmallDesk()
        self.server = Server(self.desk)

    async def link(self) -> Link:
        if self.kind == "unix":
            return await open_unix(self.path)
        ours, theirs = queue_pair()
        self.server.attach(theirs)
        return ours

    async def client(self, *, workbench: bool = False) -> Client:
        link = await self.link()
        return Client(link, await greet(link, workbench=workbench), autopsy=lost)


async def lost(_: Welcome) -> EngineLost:
    return EngineLost(LOST)


@pytest.fixture(params=["unix", "in-process"])
async def bench(request: pytest.FixtureRequest, home: Path) -> AsyncIterator[Bench]:
    bench = Bench(request.param, home)
    if bench.kind == "unix":
        await bench.server.listen(bench.path)
    yield bench
    await bench.server.close()


async def test_a_request_is_answered_with_its_own_type(bench: Bench) -> None:
    client = await bench.client()
    assert await client.request(c.Status()) == EngineInfo("e", 1, "0.1.0", 0.0)
    await client.close()


async def test_a_refusal_and_an_unforeseen_fault_reach_the_asker_alone(bench: Bench) -> None:
    client = await bench.client()
    with pytest.raises(EngineError, match="No"):
        await client.request(c.ListModels())
    with pytest.raises(EngineError) as caught:
        await client.request(c.Shutdown())
    assert caught.value.info.code == "unforeseen"
    assert (await client.request(c.Status())).pid == 1
    await client.close()


async def test_events_after_the_snapshot_arrive_in_order(bench: Bench) -> None:
    bench.desk.bus.publish(ChatGone("before"))
    client = await bench.client()
    assert client.welcome.seq == 1
    for number in range(50):
        bench.desk.bus.publish(ChatGone(str(number)))
    events = client.events()
    got = [await anext(events) for _ in range(50)]
    assert [event.body.chat for event in got] == [str(number) for number in range(50)]
    assert [event.seq for event in got] == list(range(2, 52))
    await client.close()


async def test_a_workbench_is_known_as_one(bench: Bench) -> None:
    client = await bench.client(workbench=True)
    assert (bench.server.clients, bench.server.workbenches, bench.desk.seats) == (1, 1, 1)
    await client.close()
    async with asyncio.timeout(2):
        while bench.server.clients:
            await asyncio.sleep(0.01)


async def test_a_lost_link_fails_what_waits_and_ends_the_events(bench: Bench) -> None:
    client = await bench.client()
    await bench.server.close()
    with pytest.raises(EngineLost):
        async with asyncio.timeout(2):
            async for _ in client.events():
                pass
    with pytest.raises(EngineLost):
        await client.request(c.Status())


async def test_another_protocol_is_refused_with_both_versions(bench: Bench) -> None:
    link = await bench.link()
    await link.write(encode(Hello(999, "9.9")))
    answer = decode_engine(await link.read() or b"")
    assert isinstance(answer, Refused)
    assert "999" in answer.error.title
    assert "engine stop" in answer.error.remedy


@pytest.mark.parametrize("rubbish", [b"GET / HTTP/1.1\r\n\r\n", b"{}\n", b"x" * (LINE_LIMIT + 10) + b"\n"])
async def test_rubbish_ends_only_its_own_link(home: Path, rubbish: bytes) -> None:
    bench = Bench("unix", home)
    await bench.server.listen(bench.path)
    link = await bench.link()
    with contextlib.suppress(ConnectionError):
        await link.write(rubbish)
    async with asyncio.timeout(2):
        assert await link.read() is None
    client = await bench.client()
    assert (await client.request(c.Status())).pid == 1
    await client.close()
    await bench.server.close()


async def test_the_socket_is_private(home: Path) -> None:
    bench = Bench("unix", home)
    await bench.server.listen(bench.path)
    assert stat.S_IMODE(bench.path.stat().st_mode) == 0o600
    await bench.server.close()


async def test_a_client_that_stops_reading_holds_up_nobody(home: Path) -> None:
    """Deltas join in its outbox while the socket's buffer is full; another client gets all of them."""
    bench = Bench("unix", home)
    await bench.server.listen(bench.path)
    stuck = await bench.link()
    await greet(stuck, workbench=False)
    quick = await bench.client()
    text = "x" * 1000
    for number in range(2000):
        bench.desk.bus.publish(TextDelta("c", "m", "answer", number * len(text), text))
        if number % 50 == 0:
            await asyncio.sleep(0)
    got = 0
    async with asyncio.timeout(5):
        async for event in quick.events():
            got += len(event.body.text)
            if got == 2000 * len(text):
                break
    waiting = [len(outbox) for outbox in bench.desk.bus]
    assert max(waiting) < 100
    await quick.close()
    stuck.close()
    await bench.server.close()
