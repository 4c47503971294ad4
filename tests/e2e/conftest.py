"""These tests start a real engine process; it ends with the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.api import stop_engine


@pytest.fixture(autouse=True)
def engine_ends(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stop the engine of this test's home, whatever the test did to it."""
    monkeypatch.setenv("QWILL_IDLE_SECONDS", "120")
    yield
    stop_engine()
