"""The engine as a process: one of it, found, started, ended, and never a riddle when it is not there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from engine import daemon, paths
from engine.connect import RESTARTS, Target, connect
from engine.protocol import commands as c
from engine.protocol.errors import EngineDead, EngineError, EngineLost, ErrorInfo
from engine.protocol.wire import Refused, encode
from engine.runs import under_way


@pytest.fixture(autouse=True)
def no_engine_left(home: Path) -> Iterator[None]:
    yield
    with contextlib.suppress(EngineError):  # some tests spoil the state folder
        daemon.stop_engine(seconds=3)


async def test_the_second_client_attaches_to_the_first_ones_engine(home: Path) -> None:
    first, second = await asyncio.gather(connect(), connect())
    assert first.welcome.snapshot.engine.id == second.welcome.snapshot.engine.id
    assert daemon.lock_holder() == first.welcome.snapshot.engine.pid
    await first.close()
    assert (await second.request(c.Status())).pid == daemon.lock_holder()
    await second.close()


async def test_without_start_nobody_is_started(home: Path) -> None:
    with pytest.raises(EngineLost) as caught:
        await connect(start=False)
    assert caught.value.info.code == "engine_not_running"
    assert not paths.lock_path().exists()


async def test_a_stale_socket_and_lock_file_do_not_matter(home: Path) -> None:
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(paths.socket_path()))
    stale.close()
    paths.lock_path().write_text("999999")
    client = await connect()
    assert client.welcome.snapshot.engine.pid != 999999
    await client.close()


async def test_a_killed_engine_is_told_with_its_signal(home: Path) -> None:
    client = await connect()
    os.kill(client.welcome.snapshot.engine.pid, signal.SIGKILL)
    with pytest.raises(EngineDead) as caught:
        async with asyncio.timeout(2):
            async for _ in client.events():
                pass
    assert "signal 9" in caught.value.info.title
    again = await connect()
    assert again.welcome.snapshot.engine.id != client.welcome.snapshot.engine.id
    await again.close()


async def test_an_engine_that_is_killed_with_a_run_under_way_comes_back_three_times(home: Path) -> None:
    client = await connect()
    killed: list[int] = []
    for _ in range(4):
        pid = client.welcome.snapshot.engine.pid
        note_of(pid)
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)
        with pytest.raises(EngineDead) as caught:
            async with asyncio.timeout(10):
                async for _ in client.events():
                    pass
        if len(killed) == 4:
            break
        assert caught.value.info.code == RESTARTS
        assert "goes on with the run" in caught.value.info.title
        client = await connect()
    assert len(set(killed)) == 4
    assert caught.value.info.code == "engine_dead"
    assert "not started again" in caught.value.info.title
    assert not daemon.comes_back()
    assert daemon.lock_holder() is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_an_engine_hangs_on_no_pipe_and_on_no_terminal(home: Path) -> None:
    """T17 and T18: nobody has to read what it says, and a line that is lost takes nothing with it."""
    client = await connect()
    pid = client.welcome.snapshot.engine.pid
    log = os.path.realpath(paths.log_path())
    assert [os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1, 2)] == [os.devnull, log, log]
    assert os.getsid(pid) not in (os.getsid(0), pid)
    os.killpg(os.getpgid(pid), signal.SIGHUP)  # its parent's, too
    ignored = int(proc_status(pid)["SigIgn"], 16), int(proc_status(os.getsid(pid))["SigIgn"], 16)
    assert all(mask & 1 << signal.SIGHUP - 1 for mask in ignored)
    assert (await client.request(c.Status())).pid == pid
    await client.close()


def proc_status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


async def test_an_engine_that_was_asked_to_end_does_not_come_back(home: Path) -> None:
    client = await connect()
    pid = client.welcome.snapshot.engine.pid
    note_of(pid)
    os.kill(pid, signal.SIGSTOP)  # it hears of nothing, and must be killed
    assert await asyncio.to_thread(daemon.stop_engine, 0.2)
    note = await asyncio.to_thread(daemon.last_exit, pid, patience=5.0)
    assert note is not None
    assert (note.code, note.again) == (-signal.SIGKILL, False)
    assert daemon.lock_holder() is None


def note_of(pid: int) -> None:
    """As an engine leaves it while a run is under way."""
    note = under_way.UnderWay(pid, "0001-a")
    (paths.state_dir() / under_way.NAME).write_bytes(msgspec.json.encode(note))


async def test_a_shutdown_ends_the_process_and_its_socket(home: Path) -> None:
    client = await connect()
    await client.request(c.Shutdown())
    async with asyncio.timeout(5):
        while daemon.lock_holder() is not None:
            await asyncio.sleep(0.02)
    assert not paths.socket_path().exists()
    with pytest.raises(EngineDead, match="stopped"):
        async for _ in client.events():
            pass


async def test_in_process_takes_the_same_lock(home: Path) -> None:
    inside = await connect(Target(in_process=True))
    assert daemon.lock_holder() == os.getpid()
    with pytest.raises(EngineError) as caught:
        await connect(Target(in_process=True))
    assert caught.value.info.code == "engine_busy"
    await inside.close()
    assert daemon.lock_holder() is None


async def test_an_idle_engine_leaves(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWILL_IDLE_SECONDS", "0.5")
    client = await connect()
    await client.close()
    async with asyncio.timeout(10):
        while daemon.lock_holder() is not None:
            await asyncio.sleep(0.05)


async def test_the_state_is_private(home: Path) -> None:
    client = await connect()
    await client.close()
    files = [*paths.state_dir().iterdir(), *paths.data_dir().iterdir()]
    assert {path.name for path in files} >= {"engine.sock", "engine.lock", "engine.log", "qwill.db"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)
    assert paths.state_dir().stat().st_mode & 0o077 == 0


async def test_a_state_folder_that_is_a_file_is_one_sentence(home: Path) -> None:
    (home / "state").write_text("")
    with pytest.raises(EngineError) as caught:
        await connect()
    assert caught.value.info.code == "state_unwritable"
    assert "XDG_STATE_HOME" in caught.value.info.remedy


async def test_a_socket_path_that_is_too_long_is_one_sentence(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(home / ("x" * 100)))
    with pytest.raises(EngineError) as caught:
        await connect()
    assert caught.value.info.code == "socket_path_long"


@pytest.mark.parametrize("answer", [encode(Refused(ErrorInfo("protocol_mismatch", "x"))), b"220 smtp\r\n"])
async def test_something_else_on_the_socket_is_named(home: Path, answer: bytes) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(paths.socket_path()))
    listener.listen()

    def serve() -> None:
        peer, _ = listener.accept()
        peer.sendall(answer)
        peer.recv(100_000)
        peer.close()

    threading.Thread(target=serve, daemon=True).start()
    with pytest.raises((EngineError, EngineLost)) as caught:
        await connect()
    assert caught.value.info.code in ("protocol_mismatch", "engine_foreign")
    listener.close()
