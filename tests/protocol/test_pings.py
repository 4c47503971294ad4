"""A line that dies without a word is noticed on both sides; one that is only quiet stays."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from engine import paths, server
from engine.client import Client, greet
from engine.connect import Target, connect
from engine.protocol import commands as c
from engine.protocol.errors import EngineDead, EngineLost
from engine.protocol.events import TextDelta
from engine.protocol.wire import PROTOCOL, Hello, Ping, Pong, decode_engine, encode
from engine.remote import line_link
from engine.remote.stdio import Pump
from engine.server import Server
from engine.transports import open_unix
from tests.protocol.test_link import SmallDesk
from tests.support.near import near


@pytest.fixture
async def served(home: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    """An engine's socket, and `ssh` to it that goes through a pump in a process of its own."""
    near(home, monkeypatch)
    monkeypatch.setattr(line_link, "BEAT", 0.1)
    served = Server(SmallDesk())
    await served.listen(paths.socket_path())
    yield served
    await served.close()


async def there(**more: bool) -> Client:
    return await connect(Target(host="box", person=False), **more)


def pump(client: Client) -> psutil.Process:
    return psutil.Process(client._link.line.process.pid)  # type: ignore[attr-defined]  # exec all the way


async def lost(client: Client, seconds: float = 10.0) -> EngineLost:
    with pytest.raises(EngineLost) as caught:
        async with asyncio.timeout(seconds):
            async for _ in client.events():
                pass
    return caught.value


async def test_a_request_goes_over_the_line_and_back(served: Server) -> None:
    client = await there(start=False)
    assert (await client.request(c.Status())).pid == 1
    assert client.host == "box"
    await client.close()
    async with asyncio.timeout(10):
        while served.clients:
            await asyncio.sleep(0.01)


async def test_a_silent_line_is_told_and_ended(served: Server) -> None:
    client = await there()
    far = pump(client)
    far.suspend()
    error = await lost(client)
    assert error.info.code == "engine_lost"
    assert "The line to box broke" in error.info.title
    assert "Nothing came" in error.info.detail
    assert error.info.retryable
    assert not far.is_running() or far.status() == psutil.STATUS_ZOMBIE
    await client.close()


async def test_a_quiet_line_stays(served: Server) -> None:
    """Nothing to say for longer than a dead line would be given; the pongs are enough."""
    client = await there()
    await asyncio.sleep(line_link.BEAT * (line_link.BEATS + 4))  # nothing happens: that is the point
    assert (await client.request(c.Status())).pid == 1
    await client.close()


async def test_an_engine_that_ends_is_told_as_such(home: Path, served: Server) -> None:
    client = await there()
    await served.close()
    error = await lost(client)
    assert error.info.code == "engine_lost"
    assert not isinstance(error, EngineDead), "nobody holds the engine's lock here: only the link closed"


async def test_an_engine_leaves_a_client_that_is_not_heard_of(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "KEEP_SECONDS", 0.3)
    served = Server(SmallDesk())
    await served.listen(paths.socket_path())
    mute, talker, patient = [await open_unix(paths.socket_path()) for _ in range(3)]
    for link, pings in ((mute, True), (talker, True), (patient, False)):
        await link.write(encode(Hello(PROTOCOL, "0", pings=pings)))
        assert await link.read()
    assert served.clients == 3
    deadline = time.monotonic() + 10
    while served.clients == 3:
        assert time.monotonic() < deadline
        await talker.write(encode(Ping()))
        assert isinstance(decode_engine(await talker.read() or b""), Pong)
        await asyncio.sleep(0.02)
    assert await mute.read() is None
    assert served.clients == 2, "the one that pings, and the one that never promised to"
    talker.close()
    patient.close()
    await served.close()


@pytest.mark.parametrize("who", ["client", "engine", "reader"])
def test_a_pump_leaves_with_either_side_and_never_spins(home: Path, who: str) -> None:
    """In a process of its own, with more to carry than anybody takes."""
    import socket

    engine, wire = socket.socketpair()
    stdin, to_pump = os.pipe()
    from_pump, stdout = os.pipe()
    child = os.fork()
    if child == 0:
        for each in (engine.fileno(), to_pump, from_pump):
            os.close(each)
        Pump(wire, stdin, stdout).run()
        os._exit(0)
    wire.close()
    os.close(stdin)
    os.close(stdout)
    engine.setblocking(False)
    sent = 0
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and sent < 1 << 22:
        try:
            sent += engine.send(bytes(1 << 16))
        except BlockingIOError:
            break
    time.sleep(0.3)  # the time over which its CPU is taken: both buffers are full, nobody reads
    spent = psutil.Process(child).cpu_times()
    assert spent.user + spent.system < 0.2, spent
    if who == "client":
        os.close(to_pump)
    elif who == "reader":
        os.close(from_pump)
    else:
        engine.close()
        while os.read(from_pump, 1 << 16):
            pass
    deadline = time.monotonic() + 10
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            pytest.fail("the pump stayed")
        time.sleep(0.01)
    engine.close()
    for number, gone in ((to_pump, who == "client"), (from_pump, who == "reader")):
        if not gone:
            os.close(number)


async def test_much_in_both_directions_arrives_whole(served: Server) -> None:
    client = await there()
    text = "x" * 1000
    desk: SmallDesk = served._desk  # type: ignore[assignment]
    for number in range(400):
        desk.bus.publish(TextDelta("c", "m", "answer", number * len(text), text))
        if number % 20 == 0:
            await asyncio.sleep(0)
    got = 0
    async with asyncio.timeout(20):
        async for event in client.events():
            got += len(event.body.text)  # type: ignore[union-attr]
            if got == 400 * len(text):
                break
    answers = await asyncio.gather(*(client.request(c.Status()) for _ in range(50)))
    assert len(answers) == 50
    await client.close()


async def test_a_greeting_without_an_engine_starts_none_when_told_so(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    near(home, monkeypatch)
    with pytest.raises(EngineLost) as caught:
        await there(start=False)
    assert caught.value.info.code == "engine_not_running"
    link = await _unserved()
    assert link


async def _unserved() -> bool:
    try:
        await greet(await open_unix(paths.socket_path()), workbench=False)
    except OSError:
        return True
    return False
