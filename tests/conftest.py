"""Every test runs in folders of its own, offline."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support.homes import move_into, new_home

hypothesis.settings.register_profile("untimed", deadline=None)  # how long an example takes is the machine's
hypothesis.settings.load_profile("untimed")


def pytest_collection_finish() -> None:
    """Leave what was imported to nobody's collector: the engine collects after each load and each reply."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of the test's own."""
    with new_home() as folder:
        move_into(folder, monkeypatch)
        yield folder
