"""`qwill --host BOX setup` over a real sshd: what it would do, what it does, that it can be done again."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.setup.wheel import build
from tests.support.command import qwill
from tests.support.deep import deep
from tests.support.sshd import Box, box_at, needs_sshd

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400), needs_sshd]


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    """It has no Qwill. What pip needs beside the packages of our own Python comes from where ours did."""
    passed = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_CERT"))}
    with box_at(monkeypatch, env=passed) as found:
        found.command.unlink()
        yield found


async def test_a_dry_run_says_what_it_would_do_and_changes_nothing(box: Box) -> None:
    before = sorted(box.home.rglob("*"))
    done = await qwill("--host", "box", "setup", "--python", sys.executable, "--dry-run", "--json")
    assert done.code == 0, done
    found = done.json
    assert found["facts"]["torch"]
    assert len(found["steps"]) == 6
    assert any("sees its packages" in step for step in found["steps"])
    assert (found["command"], found["dry_run"]) == ("", True)
    assert sorted(box.home.rglob("*")) == before


async def test_a_python_that_is_none_is_refused_in_a_sentence(box: Box) -> None:
    done = await qwill("--host", "box", "setup", "--python", "/bin/true;echo", "--json")
    assert (done.code, done.json["error"]["code"]) == (1, "setup_python")
    done = await qwill("--host", "box", "setup", "--python", "/bin/false")
    assert done.code == 1
    assert "no Python 3.11 or newer on box" in done.err


@deep
async def test_it_installs_answers_and_can_be_repeated(box: Box) -> None:
    sha256 = build().sha256  # the checkout may change meanwhile
    done = await qwill("--host", "box", "setup", "--python", sys.executable, "--json", timeout=300)
    assert done.code == 0, done
    found = done.json
    command = Path(found["command"])
    assert command == box.home / "data/qwill/setup/current/bin/qwill"
    assert (found["again"], found["linked"]) == (False, str(box.home / ".local/bin/qwill"))
    assert Path(found["log"]).stat().st_mode & 0o777 == 0o600
    shebang = command.read_text().splitlines()[0]
    assert shebang.startswith(f"#!{box.home}/data/qwill/setup/")
    assert not list((box.home / "data/qwill/setup").glob("current/lib/python3*/site-packages/torch"))
    status = await qwill("--host", "box", "engine", "status", "--json")
    assert status.code == 1, status  # it answers, and no engine runs
    again = await qwill("--host", "box", "setup", "--python", sys.executable, "--json", timeout=300)
    assert again.json["again"] == (build().sha256 == sha256), again
    assert json.loads(Path(os.environ["XDG_STATE_HOME"], "qwill/hosts.json").read_text())["box"] == str(
        command
    )
