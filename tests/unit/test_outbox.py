"""What is on its way to the engine survives the screen that sent it."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec
import pytest

from engine.api import specs, state_dir
from tui import outbox
from tui.outbox import Outbox, new_id
from tui.state import Blank, Pending, State

SAID = Pending("hello", "", id="a1", opens="c1")


def state(*pending: Pending, saved: bool = True) -> State:
    made = State()
    made.pending.extend(pending)
    made.blank = Blank(specs.ChatSettings(think=False), "demo", saved)
    return made


@pytest.fixture
def gone() -> int:
    """The number of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def of_process(pid: int, monkeypatch: pytest.MonkeyPatch, made: State) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: pid)
        Outbox().keep(made)


def files() -> list[str]:
    folder = state_dir() / "outbox"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_the_next_screen_gets_what_a_dead_one_had_on_its_way_once(
    gone: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_process(gone, monkeypatch, state(SAID))
    (letters,) = Outbox().left_behind()
    assert letters.pending == (SAID,)
    assert (letters.blank.model, letters.blank.settings.think, letters.fresh) == ("demo", False, True)
    assert Outbox().left_behind() == []


def test_a_screen_that_lives_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    of_process(os.getppid(), monkeypatch, state(SAID))
    assert Outbox().left_behind() == []
    assert files() == [f"{os.getppid()}.json"]


def test_nothing_stays_of_what_the_engine_has() -> None:
    box, made = Outbox(), state(SAID)
    box.keep(made)
    assert files() == [f"{os.getpid()}.json"]
    made.pending.clear()
    box.keep(made)
    assert files() == []


@pytest.mark.parametrize(
    "secret",
    [
        Pending("secret", "", id="a2"),
        Pending("secret", "c9", id="a2"),
        Pending("secret", "c8", id="a2", opens="c8", blank=Blank(saved=False)),
    ],
)
def test_an_incognito_chat_leaves_nothing_on_the_disk(secret: Pending) -> None:
    made = state(secret, saved=bool(secret.chat))
    made.engine.chats["c9"] = specs.ChatInfo("c9", saved=False)
    Outbox().keep(made)
    assert files() == []


def test_old_and_broken_files_harm_nobody(gone: int, monkeypatch: pytest.MonkeyPatch) -> None:
    of_process(gone, monkeypatch, state(SAID))
    folder = state_dir() / "outbox"
    (folder / "999999999999.json").write_text("not json")
    (folder / "notes.json").write_text("somebody else's")
    monkeypatch.setattr(outbox.time, "time", lambda: 4e9)
    (letters,) = Outbox().left_behind()
    assert not letters.fresh
    assert files() == ["notes.json"]


def test_a_full_disk_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(outbox, "write_atomic", full)
    Outbox().keep(state(SAID))
    assert files() == []


def test_ids_are_as_the_engines_own() -> None:
    assert len({new_id() for _ in range(100)}) == 100
    assert msgspec.convert(new_id(), str).isalnum()
