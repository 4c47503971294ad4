"""The engine is killed in the middle of a download; the next one goes on with it, and the model is there."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from engine.api import Target, commands, connect, events, lock_holder
from tests.support.command import qwill
from tests.support.fake_hub import fake_hub
from tests.support.hub_bench import ID, WEIGHTS, came, reach, snapshot, stock

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


async def until_done(download: str) -> commands.DownloadInfo:
    """How a download ended, as a client hears of it."""
    client = await connect(Target())
    try:
        for info in client.welcome.snapshot.downloads:
            if info.id == download and not info.live:
                return info
        async for event in client.events():
            body = event.body
            if isinstance(body, events.DownloadChanged) and not body.download.live:
                return body.download
    finally:
        await client.close()
    raise AssertionError("the link ended before the download did")


async def test_a_killed_engine_loses_no_byte_of_a_download(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with fake_hub() as hub:
        stock(hub, tmp_path / "tiny")
        reach(hub, monkeypatch)
        hub.holds[WEIGHTS] = 80_000
        client = await connect(Target())
        info = await client.request(commands.StartDownload(ID))
        async with asyncio.timeout(30):
            while came(hub) < 80_000:
                await asyncio.sleep(0.01)
        engine = lock_holder()
        assert engine is not None
        os.kill(engine, signal.SIGKILL)
        await client.close()
        async with asyncio.timeout(30):
            while lock_holder() is not None:
                await asyncio.sleep(0.02)
        assert not snapshot().exists()
        hub.go.set()

        done = await until_done(info.id)
        assert (done.state, done.error) == ("done", None)
        assert (snapshot() / WEIGHTS).read_bytes() == hub.models[ID].files[WEIGHTS]
        again = hub.ranges_asked(f"{ID}/{WEIGHTS}")[-1]
        assert int(again.removeprefix("bytes=").split("-")[0]) >= 80_000
        assert ID in (await qwill("models", "list")).out
        freed = (await qwill("models", "rm", ID, "--yes", "--json")).json
        assert (freed["deleted"], freed["size"]) == (True, done.total)
        assert ID not in (await qwill("models", "list")).out
