"""The power goes after any of the store's fsyncs: the file is whole, and what was acknowledged is in it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from engine.store import Store
from tests.support.pty_app import ROOT

SHIM = Path(__file__).with_name("synced.c")
WORK = """
import sys
from pathlib import Path
from engine.protocol.specs import ChatInfo, Message
from engine.store import Store
root, turns = Path(sys.argv[1]), int(sys.argv[2])
store = Store.open(root / "chats.db")
said = open(root / "said", "w")
def say(word):
    print(word, file=said, flush=True)
parent = None
store.add_chat(ChatInfo("c", created=1.0, updated=1.0))
for turn in range(turns):
    user = store.add_message(Message(f"u{turn}", "c", "user", text=f"question {turn}" * 40, parent=parent))
    say(f"u{turn}")
    reply = store.add_message(Message(f"a{turn}", "c", "assistant", parent=user.id, state="answering"))
    for piece in range(20):
        store.append(reply.id, "answer", f"piece {piece} ")
    store.finish(Message(reply.id, "c", "assistant", text="answer " * 100, parent=user.id, state="done"))
    say(f"a{turn}")
    parent = reply.id
"""


@pytest.fixture
def shim(tmp_path: Path) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler, and Linux's LD_PRELOAD")
    library = tmp_path / "synced.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, SHIM, "-ldl"], check=True)
    return library


def test_each_state_that_a_power_cut_may_leave_is_whole_and_has_what_was_acknowledged(
    shim: Path, tmp_path: Path, full: bool
) -> None:
    root, states = tmp_path / "root", tmp_path / "states"
    root.mkdir()
    states.mkdir()
    environment = {"LD_PRELOAD": str(shim), "SYNCED_ROOT": str(root), "SYNCED_STATES": str(states)}
    turns = 200 if full else 15
    subprocess.run(
        [sys.executable, "-c", WORK, str(root), str(turns)],
        cwd=ROOT,
        env={**os.environ, **environment},
        check=True,
    )
    found = sorted(path for path in states.iterdir() if path.name != "shadow")
    assert len(found) >= 3 * turns
    for state in found:
        _check(state)
    print(f"{len(found)} states after a power cut, all whole")


def _check(state: Path) -> None:
    """Open what the cut left, as the next engine would."""
    said = (state / "said").read_text().split() if (state / "said").exists() else []
    if not (state / "chats.db").exists():
        assert not said
        return
    connection = sqlite3.connect(state / "chats.db")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",), state
    connection.close()
    store = Store.open(state / "chats.db")
    try:
        store.recover()
        for message in said:
            stored = store.message(message)
            assert stored.state == "done"
            assert stored.finish != "interrupted"
    finally:
        store.close()
