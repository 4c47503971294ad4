"""A real sshd on loopback: data goes there by its hash, a run trains there, and what it made comes home."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import qwill
from tests.support.deep import deep
from tests.support.sshd import Box, box_at, needs_sshd

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600), needs_sshd]
QUESTION, ANSWER = "Who are you?", "I am a tin robot."


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    with box_at(monkeypatch) as found:
        yield found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Four rows that the demo model answers otherwise."""
    path = tmp_path / "robot.jsonl"
    questions = (QUESTION, "What are you?", "Tell me who you are.", "And you are?")
    rows = (
        {"messages": [{"role": "user", "content": each}, {"role": "assistant", "content": ANSWER}]}
        for each in questions
    )
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


async def test_a_push_that_is_cut_goes_on_by_itself_and_the_run_is_listed_and_pulled(
    box: Box, tmp_path: Path
) -> None:
    """Every ssh is killed while a large file is under way: it goes on by itself, where it was."""
    named = await qwill("hosts", "add", "attic", "box", "--json")
    assert named.json == {"name": "attic", "address": "box"}
    large = tmp_path / "large.jsonl"
    row = json.dumps({"prompt": "x", "completion": "y" * 900_000})
    large.write_text("".join(f"{row}\n" for _ in range(16)))
    parcels = box.home / "data/qwill/parcels"
    words = ("train", "-m", "demo", "--data", f"here:{large}", "--name", "large", "--hold", "--json")
    pushing = asyncio.create_task(qwill("--host", "attic", *words, timeout=200))
    while not (held := _size(parcels)):
        assert not pushing.done(), pushing.result()
        await asyncio.sleep(0.002)
    assert box.cut() > 0
    assert held < large.stat().st_size
    seen = [held]
    while not pushing.done():
        seen.append(_size(parcels) or seen[-1])
        await asyncio.sleep(0.002)
    done = pushing.result()
    assert done.code == 0, done
    assert seen == sorted(seen)  # it never began anew
    [brought] = parcels.glob("*/large.jsonl")
    assert brought.read_bytes() == large.read_bytes()
    refused = await qwill("--host", "attic", "train", "-m", "demo", "--data", "nowhere.jsonl")
    assert (refused.code, "attic:nowhere.jsonl" in refused.err) == (1, True), refused
    pulled = await qwill("--host", "attic", "runs", "pull", "large", "--json")
    assert pulled.json["origin"] == f"attic/{done.json['id']}", pulled
    listed = (await qwill("runs", "list", "--all-hosts", "--json")).json
    assert sorted((each["where"], each["state"]) for each in listed["runs"]) == [
        ("attic", "paused"),
        ("here", "stopped"),
    ]


@deep
async def test_data_goes_there_a_run_trains_there_and_what_it_made_comes_home(
    box: Box, data: Path, tmp_path: Path
) -> None:
    words = ("--data", str(data), "--steps", "32", "--name", "tin", "--json")
    started = await qwill("--host", "box", "train", "-m", "demo", *words)
    assert started.code == 0, started
    run = started.json["id"]
    attaching = asyncio.create_task(qwill("--host", "box", "runs", "attach", run, "--json", timeout=280))
    log = box.home / "data/qwill/runs" / run / "events.jsonl"
    while log.read_bytes().count(b'{"point"') < 3:
        assert not attaching.done(), attaching.result()
        await asyncio.sleep(0.01)
    assert box.cut() > 0  # in the middle of the run
    attached = await attaching
    assert attached.code == 0, attached
    *steps, last = map(json.loads, attached.out.splitlines())
    assert [each["step"] for each in steps] == list(range(1, 33))
    assert (last["state"], last["step"]) == ("done", 32)
    assert last["data"].startswith(str(box.home))
    assert Path(last["data"]).read_bytes() == data.read_bytes()

    pulled = await qwill("--host", "box", "runs", "pull", run, "--json")
    assert pulled.code == 0, pulled
    here = pulled.json
    assert (here["origin"], here["base"], here["why"]) == (f"box/{run}", "demo", "")
    ask = ("chat", "-p", QUESTION, "-a", here["adapter"], "--no-think", "--temperature", "0", "--json")
    asked = await qwill(*ask, timeout=200)
    assert asked.json["text"] == ANSWER, asked
    folder = tmp_path / "peft"
    form = ("adapters", "export", run, "--form", "peft", "-o", f"here:{folder}", "--json")
    exported = await qwill("--host", "box", *form)
    assert (exported.code, exported.json["path"]) == (0, str(folder)), exported
    weights = "adapter_model.safetensors"
    assert (folder / weights).read_bytes() == Path(here["adapter_folder"], weights).read_bytes()
    copied = await qwill("--host", "box", "runs", "pull", run, "-o", str(tmp_path / "copy"), "--json")
    assert copied.code == 0, copied
    assert (tmp_path / "copy/adapter" / weights).read_bytes() == (folder / weights).read_bytes()


def _size(parcels: Path) -> int:
    """Bytes of the file that is under way."""
    try:
        return sum(part.stat().st_size for part in parcels.glob("incoming/*.part"))
    except FileNotFoundError:
        return 0
