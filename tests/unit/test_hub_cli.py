"""`qwill models search|card|files|pull|downloads|rm` against a hub on loopback."""

from __future__ import annotations

import argparse
import json
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_hub import FakeHub, FakeModel, fake_hub
from tests.support.hub_bench import ID, WEIGHTS, Bench, came, reach, snapshot, stock
from tui.cli import hub as cli
from tui.cli.main import main


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    """Each command gets an engine's side of its own, which knows by the disk what the one before left."""

    @asynccontextmanager
    async def attached(_: argparse.Namespace) -> AsyncIterator[Bench]:
        bench = Bench()
        await bench.hub.open()
        yield bench
        await bench.close()

    monkeypatch.setattr(cli, "attached", attached)
    with fake_hub() as hub:
        stock(hub, tmp_path / "tiny")
        reach(hub, monkeypatch)
        yield hub


def answer(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    """The object that a command prints with --json."""
    assert main(["models", *words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_search_prints_a_table_or_rows(hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    hub.models[ID].gated = True
    assert main(["models", "search", "tiny"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["model", "params", "size", "downloads", "likes", "licence", "note"]
    assert lines[1].split() == [ID, "-", "-", "100", "0", "apache-2.0", "gated"]
    assert [row["id"] for row in answer(capsys, "search", "tiny", "--limit", "1")] == [ID]
    assert answer(capsys, "search", "nothing-like-it") == []


def test_a_card_reaches_the_terminal_without_its_control_characters(
    hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.models[ID].files["README.md"] = b"# Tiny\n\x1b]0;owned\x07\x1b[2Jtext"
    assert main(["models", "card", ID]) == 0
    said = capsys.readouterr().out
    assert said.startswith("# Tiny\n")
    assert "\x1b" not in said
    assert "\x07" not in said
    assert answer(capsys, "card", ID)["sha"] == "a" * 40


def test_files_says_what_is_needed_and_what_has_to_be_chosen(
    hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "files", ID]) == 0
    said = capsys.readouterr().out
    assert f"{WEIGHTS}" in said
    assert "Needed are" in said
    hub.models["u/t"] = FakeModel({"a-Q4_K_M.gguf": b"4", "a-Q8_0.gguf": b"88"})
    assert main(["models", "files", "u/t"]) == 0
    assert "u/t holds 2 GGUF files; choose one" in capsys.readouterr().out


def test_pull_downloads_and_rm_tells_before_it_deletes(
    hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "pull", ID]) == 0
    said = capsys.readouterr()
    assert f"{ID} is here" in said.out
    assert "100 %" in said.err or "0 %" in said.err
    looked = answer(capsys, "rm", ID)
    assert (looked["deleted"], looked["size"] > 0) == (False, True)
    assert main(["models", "rm", ID]) == 0
    assert "Nothing was deleted" in capsys.readouterr().out
    assert (snapshot() / WEIGHTS).is_file()
    assert main(["models", "rm", ID, "--yes"]) == 0
    assert f"{ID} is deleted" in capsys.readouterr().out
    assert not snapshot().exists()


def test_ctrl_c_cancels_says_how_to_go_on_and_the_list_shows_it(
    hub: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.holds[WEIGHTS] = 80_000

    def interrupt() -> None:
        deadline = time.monotonic() + 10
        while came(hub) < 80_000 and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    assert main(["models", "pull", f"{ID}@main"]) == 1
    thread.join()
    said = capsys.readouterr()
    assert f"Go on with `qwill models pull {ID}@main`" in said.err
    [left] = answer(capsys, "downloads")
    assert (left["state"], left["model"]) == ("cancelled", ID)
    hub.go.set()
    assert answer(capsys, "pull", ID)["id"] == left["id"]
    assert hub.ranges_asked(f"{ID}/{WEIGHTS}")[-1] != hub.ranges_asked(f"{ID}/{WEIGHTS}")[0]


def test_a_failure_is_one_sentence_and_one_object(hub: FakeHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", "Qwen/Nope"]) == 1
    assert capsys.readouterr().err.startswith("qwill: There is no model Qwen/Nope on 127.0.0.1")
    assert answer(capsys, "files", "Qwen/Nope", code=1)["error"]["code"] == "hub_not_found"
    hub.models[ID].gated, hub.token = True, "hf_right"
    assert answer(capsys, "pull", ID, code=1)["error"]["code"] == "hub_gated"
    assert "hf auth login" in answer(capsys, "downloads")[0]["error"]["remedy"]
    assert answer(capsys, "downloads", "--cancel", ID, "--discard") == []


def test_offline_no_command_goes_out(
    hub: FakeHub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for words in (["search", "tiny"], ["card", ID], ["files", ID], ["pull", ID]):
        assert answer(capsys, *words, code=1)["error"]["code"] == "hub_offline"
    assert hub.asked == []
    assert answer(capsys, "downloads") == []
