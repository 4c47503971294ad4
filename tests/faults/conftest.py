"""Faults by the dozen: a few of each in the test suite, the full counts with `make faults`."""

from __future__ import annotations

import os
import random
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


@pytest.fixture
def full() -> bool:
    """Whether the full counts are wanted."""
    return bool(os.environ.get("QWILL_FAULTS"))


@pytest.fixture
def chance() -> random.Random:
    """Random moments; the seed is told where a test fails, and QWILL_FAULT_SEED repeats it."""
    seed = int(os.environ.get("QWILL_FAULT_SEED") or random.randrange(1 << 32))
    print(f"QWILL_FAULT_SEED={seed}")
    return random.Random(seed)
