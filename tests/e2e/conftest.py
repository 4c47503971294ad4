"""These tests start a real engine process; it ends with the test, or with the module where tests share it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.api import stop_engine
from tests.support.homes import move_into, new_home


@pytest.fixture(scope="module")
def shared_home() -> Iterator[Path]:
    """One home, with one engine, for those tests of a module that use it: starting an engine takes seconds.

    What they keep in it (chats, runs) stays for the others, in any order: each looks for its own.
    """
    with new_home() as folder:
        yield folder
        with pytest.MonkeyPatch.context() as patch:
            move_into(folder, patch)
            stop_engine()


@pytest.fixture(autouse=True)
def home(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The shared home where a test uses it, else one of its own, whose engine ends with the test."""
    monkeypatch.setenv("QWILL_IDLE_SECONDS", "120")
    if "shared_home" in request.fixturenames:
        folder = request.getfixturevalue("shared_home")
        move_into(folder, monkeypatch)
        yield folder
        return
    with new_home() as folder:
        move_into(folder, monkeypatch)
        yield folder
        stop_engine()
