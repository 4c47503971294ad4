"""F7 to F9: the engine is killed, the screen dies, a peer stops reading: what goes on, what comes back."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import pytest

from engine import paths
from engine.api import (
    VERSION,
    Client,
    EngineError,
    Target,
    commands,
    connect,
    events,
    lock_holder,
    specs,
    stop_engine,
)
from engine.bus import EXACT_LIMIT
from engine.protocol.wire import PROTOCOL, Hello, encode
from tests.e2e.test_first_adapter import dots
from tests.support import process_figures as figures
from tests.support.deep import deep
from tests.support.homes import move_into, new_home
from tests.support.long_run import longest_gap, missing, step_after, steps_since, training, usual
from tests.support.pty_app import QWILL, PtyApp
from tests.support.scripted import Script, engine_with

pytestmark = [pytest.mark.engine, pytest.mark.timeout(3600)]
QUESTION = "What is 482 + 359?"
MIB = 1 << 20
GROWTH = 16 * MIB
"""That a client may grow while nobody reads it (F9)."""
LOOSE = 60.0
"""Seconds: a machine that does other things, too, must not fail a test."""
DEATHS: dict[str, Callable[[PtyApp], None]] = {
    "hang-up": lambda app: app.hang_up(),
    "SIGHUP": lambda app: app.kill(signal.SIGHUP),
    "SIGKILL": lambda app: app.kill(signal.SIGKILL),
}


@pytest.fixture(scope="module")
def one_home() -> Iterator[Path]:
    """A home whose engine trains through all tests here."""
    with new_home() as folder, pytest.MonkeyPatch.context() as patch:
        move_into(folder, patch)
        patch.setenv("QWILL_IDLE_SECONDS", "120")
        yield folder
        stop_engine()


@pytest.fixture(autouse=True)
def home(one_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    move_into(one_home, monkeypatch)
    monkeypatch.setenv("QWILL_IDLE_SECONDS", "120")
    return one_home


@pytest.fixture(autouse=True)
def engine_ends() -> None:
    """Not after each test: see `one_home`."""


async def ask(client: Client, question: str = QUESTION, *, chat: str = "") -> tuple[str, specs.Message]:
    """A question and its whole reply; the chat's id, too."""
    chat = chat or (await client.request(commands.NewChat(model="demo"))).id
    sent = await client.request(commands.Send(chat=chat, text=question))
    async with asyncio.timeout(240):
        while True:
            page = await client.request(commands.ReadChat(chat))
            reply = next(message for message in page.messages if message.id == sent.reply.id)
            if not reply.live:
                return chat, reply
            await asyncio.sleep(0.05)


def told(what: str, seconds: list[float]) -> None:
    """Say the figures, for docs/reliability.md."""
    print(f"{what}: median {median(seconds):.2f} s, most {max(seconds):.2f} s, {len(seconds)} times")


async def test_a_client_that_leaves_while_torch_is_imported_costs_the_engine_nothing() -> None:
    """What it asked for waits for torch; giving that up must not give torch up."""
    hasty = await connect(Target())
    waiting = [
        asyncio.ensure_future(hasty.request(command))
        for command in (
            commands.CheckData("shipped:pirate", model="demo"),
            commands.EstimateRun(runs_spec()),
            commands.PreviewRow(runs_spec()),
        )
    ]
    await asyncio.sleep(0.3)
    await hasty.close()
    for each in waiting:
        each.cancel()
    client = await connect(Target(), start=False)
    _, reply = await ask(client)
    assert "841" in reply.text
    await client.close()


def runs_spec():
    from engine.api import runs

    return runs.TrainSpec("demo", "shipped:pirate")


async def test_screens_that_die_cost_the_run_no_step_and_the_next_one_has_it_all(
    home: Path, full: bool
) -> None:
    """F8: a hang-up, a SIGHUP, a SIGKILL, again and again; the last with a reply, for which a run waits."""
    client = await connect(Target())
    run = await training(client)
    chat, _ = await ask(client)  # a run waits for a reply
    await step_after(client, run, (await client.request(commands.ReadRun(run, 0))).run.step + 1)
    first, engine = (await client.request(commands.ReadRun(run, 0))).run.step, lock_holder()
    opened, drawn, gone, died = [], [], [], []
    deaths = 100 if full else 1
    for number in range(deaths):
        die = list(DEATHS.values())[number % len(DEATHS)]
        with PtyApp() as app:
            await app.until(QUESTION, LOOSE)
            opened.append(time.monotonic() - app.started)
            app.press("f3")
            began = time.monotonic()
            await app.until(lambda lines: dots(lines) > 20, LOOSE, what="the curve")
            drawn.append(time.monotonic() - began)
            if number == deaths - 1:
                points = await steps_since(client, run, first)
                sent = await client.request(commands.Send(chat=chat, text=f"What is {number} + 100?"))
            began = time.monotonic()
            died.append(time.time())
            die(app)
            await app.exited(LOOSE)
            gone.append(time.monotonic() - began)
    left = figures.of_home(home)
    last = await step_after(client, run, (await client.request(commands.ReadRun(run, 0))).run.step)
    whole = await steps_since(client, run, first)
    assert (lock_holder(), len(left)) == (engine, 2), left
    assert whole[-1].step >= last - 1
    assert missing(whole) == []
    gap = longest_gap(points, died)
    print(f"{len(opened)} screens died during {len(points)} steps of {usual(points):.3f} s")
    ever = longest_gap(points)
    print(f"the longest time without a step being computed: {gap:.2f} steps at a death, {ever:.2f} at all")
    told("from the start of `qwill` to the chat", opened)
    told("from the key to the whole curve", drawn)
    told("until the process was gone", gone)
    assert await settled(client, chat, sent.reply.id) == "stop"
    assert gap < 20
    await client.close()


def shown_step(lines: list[str]) -> int:
    """The newest step in the table of runs."""
    found = re.search(r"([\d,]+)/1\d\d,", "\n".join(lines))
    return int(found[1].replace(",", "")) if found else 0


async def settled(client: Client, chat: str, reply: str) -> str | None:
    """How a reply ended."""
    async with asyncio.timeout(240):
        while True:
            page = await client.request(commands.ReadChat(chat))
            found = next(message for message in page.messages if message.id == reply)
            if not found.live:
                return found.finish
            await asyncio.sleep(0.05)


async def test_peers_that_stop_reading_slow_nobody_and_come_back(home: Path, full: bool) -> None:
    """F9: a socket and a terminal that nobody reads; then the terminal is read again, and closed unread."""
    seconds = 60.0 if full else 1.0
    client = await connect(Target())
    run = await training(client)
    chat, _ = await ask(client)
    with PtyApp() as app:
        await app.until(QUESTION, LOOSE)
        app.press("f3")
        await app.until(lambda lines: shown_step(lines) > 0, LOOSE, what="the run")
        before = await steps_in(client, run, seconds)
        stuck = socket.socket(socket.AF_UNIX)
        stuck.connect(str(paths.socket_path()))
        stuck.sendall(encode(Hello(PROTOCOL, VERSION, workbench=True)))
        screen, engine = figures.read(app.pid), figures.read(lock_holder() or 0)
        asking = asyncio.create_task(ask(client, chat=chat))
        beside = await steps_in(client, run, seconds)
        await asking
        after, engine_after = figures.read(app.pid), figures.read(lock_holder() or 0)
        now = (await client.request(commands.ReadRun(run, 0))).run.step
        began = time.monotonic()
        await app.until(lambda lines: shown_step(lines) >= now, LOOSE, what=f"step {now}")
        caught_up = time.monotonic() - began
        await asyncio.sleep(1.0)  # unread again
        began = time.monotonic()
        app.hang_up()
        await app.exited(LOOSE)
        print(f"unread and closed, it was gone after {time.monotonic() - began:.2f} s")
    stuck.close()
    assert screen is not None
    assert after is not None
    assert engine is not None
    assert engine_after is not None
    ratio = usual(beside) / usual(before)
    print(f"{seconds:.0f} s unread: step time {ratio - 1:+.1%}, {len(before)} and {len(beside)} steps")
    grown = [(later.rss - sooner.rss) / MIB for sooner, later in ((screen, after), (engine, engine_after))]
    print(f"screen {grown[0]:+.1f} MiB, engine {grown[1]:+.1f} MiB")
    print(f"caught up after {caught_up:.2f} s")
    assert missing(before + beside) == []
    assert after.rss - screen.rss < GROWTH
    assert ratio < 3
    await client.close()


async def steps_in(client: Client, run: str, seconds: float):
    """The steps that a run takes in this time, five at least."""
    start = (await client.request(commands.ReadRun(run, 0))).run.step
    await asyncio.sleep(seconds)
    await step_after(client, run, start + 5)
    return await steps_since(client, run, start)


async def test_a_screen_that_was_cut_off_heals_by_a_new_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads nothing while more comes than may wait: the engine lets go of it, and it comes back."""
    model = specs.ModelInfo("demo", "demo", source="demo", context=2048, state="ready")
    chats = [specs.ChatInfo("c1", "before", "demo", updated=1.0)]
    with new_home() as folder:
        move_into(folder, monkeypatch)
        async with engine_with(Script(models=[model], chats=chats)) as script:
            with PtyApp() as app:
                await app.until("before", LOOSE)
                os.kill(app.pid, signal.SIGSTOP)
                changed = specs.ChatInfo("c1", "x" * 200, "demo", updated=2.0)
                for number in range(3 * EXACT_LIMIT):
                    script.tell(events.ChatChanged(changed))
                    if number % 500 == 0:
                        await asyncio.sleep(0)
                waiting = [len(outbox) for outbox in script.bus]
                assert max(waiting, default=0) == 0  # nothing is kept for who reads nothing
                async with asyncio.timeout(LOOSE):
                    while list(script.bus):
                        await asyncio.sleep(0.05)
                script._chats["c1"] = specs.ChatInfo("c1", "after", "demo", updated=3.0)
                os.kill(app.pid, signal.SIGCONT)
                began = time.monotonic()
                await app.until("after", LOOSE)
                print(f"healed after {time.monotonic() - began:.2f} s")


@pytest.mark.parametrize("words", [("chat",), pytest.param(("monitor",), marks=deep)])
async def test_what_talks_in_lines_leaves_with_its_terminal(words: tuple[str, ...]) -> None:
    with PtyApp([*QWILL, *words]) as app:
        await app.until(lambda lines: any(lines), LOOSE)
        app.hang_up()
        await app.exited(LOOSE)


@deep
async def test_engines_killed_while_streaming_are_told_and_come_back_by_one_key() -> None:
    """F7. One of them is test_kill_engine's; this counts."""
    from tests.e2e.test_kill_engine import thinking

    client = await connect(Target())
    await client.request(commands.StopRun(await training(client)))
    await client.close()
    said, back = [], []
    for number in range(20):
        with PtyApp() as app:
            await app.until("thinking on", LOOSE)
            app.press("ctrl+n")
            question = f"What is {number + 400} + 359?"
            app.type(question)
            app.press("enter")
            await app.until("› Ask something", 240)  # sent; the chat of before is off the screen
            await app.until(question, 240)
            await app.until(lambda lines: len(thinking(lines)) > 20, 240, what="some thinking")
            engine = lock_holder() or 0
            os.kill(engine, signal.SIGSTOP)  # holds the reply in its middle
            before = thinking(await app.settled())
            began = time.monotonic()
            os.kill(engine, signal.SIGKILL)
            after = await app.until("engine was killed", LOOSE)
            said.append(time.monotonic() - began)
            assert thinking(after).startswith(before)  # folded, where the answer had just begun
            app.press("f9")
            began = time.monotonic()
            await app.until(lambda lines: "engine was killed" not in "\n".join(lines), LOOSE, what="the link")
            await app.until("interrupted", LOOSE)
            back.append(time.monotonic() - began)
    told("until the screen said why", said)
    told("from F9 to a chat that can be used", back)


@deep
async def test_an_engine_without_a_byte_more_says_so_or_is_told_of() -> None:
    """F7: a limit on its address space while it streams; the kernel refuses it memory from then on."""
    import resource

    client = await connect(Target())
    chat, _ = await ask(client)
    engine = lock_holder() or 0
    size = int(Path(f"/proc/{engine}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(engine, resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))
    try:
        _, reply = await ask(client, chat=chat)
        outcome = reply.error.title if reply.error else f"the reply ended by {reply.finish}"
        resource.prlimit(engine, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except EngineError as error:
        outcome = error.info.sentence()
    print(f"with no byte more: {outcome}")
    await client.close()
    client = await connect(Target())
    _, reply = await ask(client)
    assert "841" in reply.text
    await client.close()


@deep
async def test_an_idle_engine_without_a_client_takes_no_cpu() -> None:
    """F8: under 1 % of a core for whatever is left."""
    client = await connect(Target())
    await client.request(commands.StopRun(await training(client)))
    await client.close()
    await asyncio.sleep(5)
    for pid, words in figures.of_home(Path(os.environ["HOME"])).items():
        first = figures.read(pid)
        await asyncio.sleep(20)
        last = figures.read(pid)
        assert first
        assert last
        print(f"{words.split()[-1]}: {figures.share(first, last):.2%} of a core")
        assert figures.share(first, last) < 0.01
