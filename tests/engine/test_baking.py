"""A system prompt becomes a dataset without it, by the demo model; what cannot be baked is refused."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

pytest.importorskip("torch")

from engine.api import Client  # noqa: E402
from engine.connect import Target, connect  # noqa: E402
from engine.protocol import commands as c  # noqa: E402
from engine.protocol.errors import EngineError  # noqa: E402
from engine.protocol.events import BakeMoved  # noqa: E402
from engine.protocol.specs import ChatSettings  # noqa: E402

pytestmark = pytest.mark.engine


@pytest.fixture
async def client(home: Path) -> AsyncIterator[Client]:
    client = await connect(Target(in_process=True))
    yield client
    await client.close()


async def test_replies_under_the_prompt_are_rows_without_it(client: Client) -> None:
    chat = await client.request(c.NewChat("demo", settings=ChatSettings(system="Answer in one word.")))
    baked = await client.request(c.StartBake(chat.id, count=6, job="j"))
    assert (baked.model, baked.name) == ("demo", "baked-answer-in-one-word")
    assert baked.rows + baked.left_out == 6
    rows = [json.loads(line) for line in Path(baked.path).read_text().splitlines()]
    assert len(rows) == baked.rows
    assert [each["role"] for each in rows[0]["messages"]] == ["user", "assistant"]
    assert all("one word" not in json.dumps(row) for row in rows)
    report = await client.request(c.CheckData(baked.path))
    assert report.rows == baked.rows
    async for event in client.events():
        if isinstance(event.body, BakeMoved) and event.body.done == 6:
            break


async def test_without_a_system_prompt_there_is_nothing_to_bake(client: Client) -> None:
    with pytest.raises(EngineError) as caught:
        await client.request(c.StartBake(model="demo"))
    assert caught.value.info.code == "no_system_prompt"
    with pytest.raises(EngineError, match="ended already"):
        await client.request(c.StopBake("nothing"))
