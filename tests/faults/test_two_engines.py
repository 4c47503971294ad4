"""F15: many engines and screens at once, old sockets and locks, pids given out again, a full disk."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import resource
import socket
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from engine import daemon, paths
from engine.api import EngineError, Target, commands, connect, lock_holder, stop_engine
from tests.support.deep import deep
from tests.support.full_disk import file_limit
from tests.support.process_figures import of_home
from tests.support.pty_app import QWILL, ROOT, PtyApp

pytestmark = pytest.mark.timeout(900)
CONTEST = """
import sys, time
from engine.daemon import lock_engine
from engine.protocol.errors import EngineError
sys.stdin.readline()
try:
    held = lock_engine()
    print("won", flush=True)
    sys.stdin.readline()
except EngineError as error:
    print(error.info.code, error.info.title, flush=True)
"""
HOLDER = """
import fcntl, sys
file = open(sys.argv[1])
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
input()
"""


def engines(home: Path) -> list[int]:
    """Processes of this home that are engines, not their parents."""
    return [pid for pid, words in of_home(home).items() if words.endswith("engine.daemon run")]


def python(script: str, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *args],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def test_of_many_that_reach_for_the_lock_at_once_one_gets_it(home: Path, full: bool) -> None:
    """While others look, too: a glance must not cost the winner its lock."""
    count = 20 if full else 5
    paths.state_dir()
    contestants = [python(CONTEST) for _ in range(count)]
    looking = threading.Event()
    glance = threading.Thread(target=lambda: [lock_holder() for _ in iter(looking.is_set, True)], daemon=True)
    glance.start()
    for each in contestants:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()
    said = {each.pid: each.stdout.readline().strip() for each in contestants if each.stdout is not None}
    winners = [pid for pid, words in said.items() if words == "won"]
    holder = lock_holder()
    looking.set()
    for each in contestants:
        each.communicate("\n", timeout=30)
    assert len(winners) == 1, said
    assert holder == winners[0]
    assert all(str(holder) in words and "engine_busy" in words for words in said.values() if words != "won")
    assert lock_holder() is None


@deep
async def test_many_that_start_one_at_once_all_reach_the_same(home: Path) -> None:
    """Clients that find no engine, each of which starts one, over an old socket and another's pid."""
    count = 20
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(paths.socket_path()))
    stale.close()
    paths.lock_path().write_text("1")
    started = [
        await asyncio.create_subprocess_exec(
            *QWILL, "engine", "start", "--json", cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(count)
    ]
    said = [await asyncio.wait_for(each.communicate(), 120) for each in started]
    assert [(each.returncode, err) for each, (_, err) in zip(started, said, strict=True)] == [
        (0, b"")
    ] * count
    pids = {json.loads(out)["pid"] for out, _ in said}
    assert pids == {lock_holder()}
    async with asyncio.timeout(30):  # those that were late leave by themselves
        while set(engines(home)) != pids or len(of_home(home)) != 2:
            await asyncio.sleep(0.05)
    print(f"{count} starts at once: one engine, and its parent")


@deep
async def test_what_two_clients_write_at_once_is_stored_once_each(home: Path) -> None:
    first, second = await asyncio.gather(connect(), connect())
    ids = [f"{number:016x}" for number in range(1, 21)]

    async def make(client, mark: str) -> list[str]:
        made = [(await client.request(commands.NewChat(model="demo", id=each))).id for each in ids]
        for each in made:
            await client.request(commands.ChangeChat(each, title=f"{each} {mark}"))
        return made

    assert await make(first, "a") == ids
    both = await asyncio.gather(make(first, "a"), make(second, "b"))
    assert both == [ids, ids]
    titles = {}
    for client in (first, second):
        pages = [await client.request(commands.ReadChat(each)) for each in ids]
        titles[client] = [page.chat.title for page in pages]
    assert titles[first] == titles[second]
    assert all(title.endswith((" a", " b")) for title in titles[first])
    await first.close()
    await second.close()


@deep
async def test_two_screens_at_once_share_an_engine_and_see_the_same(home: Path) -> None:
    with PtyApp() as one, PtyApp() as two:
        await asyncio.gather(one.until("thinking on"), two.until("thinking on"))
        assert len(engines(home)) == 1
        one.type("What is 482 + 359?")
        one.press("enter")
        await one.until("841")
        await two.until("What is 482")  # in its list of chats


def test_a_stranger_with_the_engines_old_pid_is_not_ended(home: Path) -> None:
    """Between taking the lock and writing the pid, the file names whoever had it before."""
    stranger = python("input()")
    paths.lock_path().write_text(str(stranger.pid))
    assert lock_holder() is None
    assert not stop_engine()
    holder = python(HOLDER, str(paths.lock_path()))
    assert holder.stdout is not None
    holder.stdout.readline()
    assert lock_holder() == stranger.pid
    assert not stop_engine(seconds=0.2)
    assert stranger.poll() is None
    for each in (stranger, holder):
        each.communicate("\n", timeout=10)


def test_what_was_noted_of_an_engine_with_the_same_pid_is_forgotten(home: Path) -> None:
    (paths.state_dir() / "engine.stop").write_text("4711")
    note = daemon.Exit(4711, -9, 1.0, run="0001-a", again=True)
    paths.exit_path().write_bytes(msgspec.json.encode(note))
    daemon._forget_namesake(815)
    assert daemon.exit_note() == note
    daemon._forget_namesake(4711)
    assert daemon.exit_note() is None
    assert not (paths.state_dir() / "engine.stop").exists()


def test_a_full_disk_at_the_lock_is_a_sentence_and_leaves_it_free(home: Path) -> None:
    paths.state_dir()
    with file_limit(0), pytest.raises(EngineError) as caught:
        daemon.lock_engine()
    assert caught.value.info.code == "state_unwritable"
    assert str(paths.lock_path()) in caught.value.info.title
    assert "space" in caught.value.info.remedy
    held = daemon.lock_engine()
    assert lock_holder() == os.getpid()
    held.close()


def test_a_full_disk_at_the_start_is_a_sentence_and_with_space_it_starts(home: Path) -> None:
    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    ask = [*QWILL, "engine", "start", "--json"]
    done = subprocess.run(ask, cwd=ROOT, capture_output=True, text=True, preexec_fn=fill, timeout=90)
    assert (done.returncode, done.stderr) == (1, "")
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "state_unwritable"
    assert str(home) in error["title"]
    assert error["detail"]
    assert lock_holder() is None
    again = subprocess.run(ask, cwd=ROOT, capture_output=True, text=True, timeout=90)
    assert again.returncode == 0
    assert json.loads(again.stdout)["pid"] == lock_holder()


@deep
async def test_an_engine_inside_this_process_and_one_of_its_own_do_not_meet(home: Path) -> None:
    inside = await connect(Target(in_process=True))
    beside = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-P", "-m", "engine.daemon", "run"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert beside.returncode == daemon.BUSY_EXIT
    assert f"process {os.getpid()}" in beside.stderr
    assert "Traceback" not in beside.stderr
    await inside.close()
    with open(paths.lock_path()) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
