"""An engine of the protocol before: an upgrade neither waits for its run nor ends it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine import paths
from engine.connect import Target, connect
from engine.protocol import commands as c
from engine.protocol import events as e
from engine.protocol.errors import EngineError
from engine.protocol.wire import OLDER, PROTOCOL, is_foreign
from tests.support.command import qwill
from tests.support.near import near
from tests.support.older_engine import CHANGED, RUN, UNKNOWN, OlderEngine


@pytest.fixture
async def old(home: Path) -> AsyncIterator[OlderEngine]:
    engine = OlderEngine()
    await engine.listen(paths.socket_path())
    yield engine
    await engine.close()


@pytest.mark.parametrize("host", ["", "box"])
async def test_its_runs_are_listed_read_followed_and_stopped(
    old: OlderEngine, host: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if host:
        near(home, monkeypatch)
    client = await connect(Target(host=host, person=False), start=False)
    assert client.older
    assert old.greeted == [PROTOCOL, OLDER]
    assert client.welcome.snapshot.runs[0].id == RUN
    listed = await client.request(c.ListRuns())
    assert [(run.id, run.state) for run in listed.runs] == [(RUN, "running")]
    page = await client.request(c.ReadRun(RUN))
    assert [point.step for point in page.points if point.loss is not None][0] == 1
    assert (await client.request(c.Status())).version == "0.1.0"
    await client.request(c.StopRun(RUN))
    seen: list[str] = []
    async with asyncio.timeout(10):
        async for event in client.events():
            seen.append(type(event.body).__name__)
            if isinstance(event.body, e.RunChanged) and event.body.run.state == "stopped":
                break
    assert {"RunStepped", "RunChanged"} <= set(seen)
    await client.close()


async def test_a_refusal_whose_connection_ends_late_is_answered_on_the_next_one(
    old: OlderEngine, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    near(home, monkeypatch)
    old.lingers = 0.5
    async with asyncio.timeout(60):
        client = await connect(Target(host="box", person=False), start=False)
    assert old.greeted == [PROTOCOL, OLDER]
    await client.close()


async def test_anything_else_gets_a_sentence_and_the_command_that_helps(old: OlderEngine) -> None:
    client = await connect(start=False)
    for command in (c.ListModels(), c.Send("c", "hi"), c.PauseRun(RUN), c.ReadHealth("")):
        with pytest.raises(EngineError) as caught:
            await client.request(command)
        assert caught.value.info.code == "engine_older"
        assert "protocol 1" in caught.value.info.title
        assert "engine stop --when-idle" in caught.value.info.remedy
    assert (await client.request(c.Status())).pid, "the link stands as before"
    assert old.asked == ["Status"]
    await client.close()


async def test_a_workbench_is_told_before_it_opens(old: OlderEngine) -> None:
    with pytest.raises(EngineError) as caught:
        await connect(workbench=True, start=False)
    assert caught.value.info.code == "engine_older"
    assert "runs list" in caught.value.info.detail


async def test_the_commands_of_runs_and_the_status_work(old: OlderEngine) -> None:
    status = await qwill("engine", "status", "--json")
    assert (status.code, status.json["version"]) == (0, "0.1.0")
    listed = await qwill("runs", "list", "--json")
    assert [run["id"] for run in listed.json] == [RUN]
    refused = await qwill("models", "list", "--json")
    assert refused.code == 1
    assert refused.json["error"]["code"] == "engine_older"
    following = asyncio.create_task(qwill("runs", "follow", RUN, "--json"))
    async with asyncio.timeout(30):
        while "ReadRun" not in old.asked:
            await asyncio.sleep(0.02)
    stopped = await qwill("runs", "stop", RUN, "--json")
    assert stopped.code == 0, stopped
    followed = await following
    assert json.loads(followed.out.splitlines()[-1])["state"] == "stopped", followed


def test_what_another_version_says_is_passed_over_and_rubbish_is_not() -> None:
    assert is_foreign(json.dumps(UNKNOWN).encode())
    assert not is_foreign(json.dumps(CHANGED).encode())
    assert is_foreign(json.dumps(CHANGED).encode(), older=True)
    assert is_foreign(b'{"t":"Whisper","x":1}')
    for rubbish in (b"220 smtp\r\n", b"{}", b"[]", b"\xff", b'{"t":"Reply","id":"x"}', b'{"t":"Event"'):
        assert not is_foreign(rubbish)
