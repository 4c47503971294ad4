"""`qwill chat --jsonl` with the demo model, as a process: resumed, stopped, bad lines among good ones."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.api import stop_engine
from engine.connect import Target, connect
from engine.protocol import commands as c
from engine.protocol.errors import EngineError
from engine.protocol.specs import ChatSettings, Sampling
from engine.workers.batch import TorchBatcher
from tests.support.command import qwill
from tests.support.pty_app import QWILL, ROOT

pytestmark = pytest.mark.engine
SHORT = ("--no-think", "--temperature", "0", "--max-tokens", "12")
QUESTIONS = ("Who are you?", "What is 1 + 2?", "hello", "What can you do?", "Are you large?")


@pytest.fixture
def engine_ends(home: Path) -> Iterator[None]:
    yield
    stop_engine()


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


def answers(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.usefixtures("engine_ends")
async def test_a_file_is_answered_line_by_line_and_gone_on_with(tmp_path: Path) -> None:
    rows = [{"prompt": text, "id": number} for number, text in enumerate(QUESTIONS)]
    file = write(tmp_path / "in.jsonl", rows[0], "{broken", *rows[1:3])
    out = tmp_path / "out.jsonl"
    command = ("chat", "-m", "demo", "--jsonl", str(file), "-o", str(out), *SHORT)
    first = await qwill(*command, "--batch", "2", "--json")
    assert first.code == 1
    assert first.json == first.json | {"answered": 3, "bad": 1, "skipped": 0, "stopped": False}
    assert "line 2 is left out: it is not JSON" in first.err
    found = answers(out)
    assert [row["line"] for row in found] == [1, 2, 3, 4]
    assert [row["id"] for row in found] == [0, None, 1, 2]
    assert "Qwill" in found[0]["text"]
    assert found[0]["finish_reason"] == "length"
    assert found[0]["stats"]["tokens"] == 12
    assert found[1]["error"]["code"] == "bad_line"

    write(file, rows[0], "{broken", *rows[1:])
    second = await qwill(*command, "--json")
    assert second.json == second.json | {"answered": 2, "skipped": 4}
    assert second.code == 0
    assert [row["line"] for row in answers(out)] == [1, 2, 3, 4, 5, 6]
    assert answers(out)[:4] == found

    write(file, {"prompt": "another question"})
    other = await qwill(*command)
    assert other.code == 1
    assert "belong to other prompts: line 1 differs" in other.err
    piped = await qwill(
        "chat", "-m", "demo", "--jsonl", "-", *SHORT, stdin=json.dumps({"prompt": "Who are you?"})
    )
    assert json.loads(piped.out)["text"] == found[0]["text"]
    wrong = await qwill("chat", "--jsonl", str(file), "-p", "x")
    assert wrong.code == 2


@pytest.mark.usefixtures("engine_ends")
async def test_ctrl_c_keeps_what_is_done(tmp_path: Path) -> None:
    short = {"prompt": "hello", "max_tokens": 3}
    long = {"prompt": "hello", "max_tokens": 3500, "temperature": 5.0, "top_k": 0, "top_p": 1.0, "min_p": 0}
    file, out = write(tmp_path / "in.jsonl", short, *[long] * 5, short), tmp_path / "out.jsonl"
    process = await asyncio.create_subprocess_exec(
        *QWILL,
        *("chat", "-m", "demo", "--jsonl", str(file), "-o", str(out), "--no-think"),
        cwd=ROOT,
        env=dict(os.environ),
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        while not out.exists() or not out.read_bytes().endswith(b"\n"):
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, told = await process.communicate()
    assert process.returncode == 1
    lines = [row["line"] for row in answers(out)]
    assert b"Stopped. %d answered" % len(lines) in told
    assert lines[0] == 1
    assert 7 in lines


async def test_a_model_that_cannot_take_rows_together_answers_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = ChatSettings(think=False, sampling=Sampling(temperature=0.0, max_tokens=8))
    rows = tuple(c.Row((c.RowTurn("user", text),), settings) for text in QUESTIONS)
    client = await connect(Target(in_process=True))

    async def ask() -> dict[int, str]:
        batch = await client.request(c.StartBatch("demo", rows))
        assert batch.together == (TorchBatcher.takes is not alone)
        texts: dict[int, str] = {}
        while len(texts) < len(rows):
            taken = await client.request(c.TakeRows(batch.id, len(texts)))
            texts |= {answer.place: answer.text for answer in taken.answers}
        assert taken.left == 0
        return texts

    def alone(self: TorchBatcher, model: str) -> str:
        return "They are answered one by one"

    together = await ask()
    monkeypatch.setattr(TorchBatcher, "takes", alone)
    assert await ask() == together
    [health] = (await client.request(c.ReadHealth("demo"))).models
    assert health.counted == 2 * len(rows)
    with pytest.raises(EngineError, match="between 1 and 256"):
        await client.request(c.StartBatch("demo", ()))
    with pytest.raises(EngineError, match="ended already"):
        await client.request(c.TakeRows("nothing"))
    await client.close()
