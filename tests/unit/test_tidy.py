"""The collector looks at everything when nobody types, or when it has waited long enough."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator

import pytest

from tui.tidy import AT_LEAST, CALM, YOUNG, Tidy


@pytest.fixture
def collected(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """When everything was looked at; there is always enough to look at."""
    thresholds = gc.get_threshold()
    times: list[float] = []
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(gc, "get_count", lambda: (0, 0, YOUNG))
    monkeypatch.setattr(gc, "collect", lambda: times.append(time.monotonic()))
    yield times
    gc.set_threshold(*thresholds)


def test_it_collects_between_keys(collected: list[float]) -> None:
    typed = time.monotonic()
    tidy = Tidy(lambda: typed)
    tidy.look()
    assert not collected
    typed -= 2 * CALM
    tidy.look()
    assert len(collected) == 1


def test_it_waits_for_who_types_on_only_so_long(
    collected: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    tidy = Tidy(time.monotonic)
    tidy.look()
    assert not collected
    monkeypatch.setattr(tidy, "_last", time.monotonic() - 2 * AT_LEAST)
    tidy.look()
    tidy.look()
    assert len(collected) == 1


def test_it_has_nothing_to_do_where_little_is_new(
    collected: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gc, "get_count", lambda: (0, 0, YOUNG - 1))
    Tidy(lambda: 0.0).look()
    assert not collected


def test_python_leaves_the_oldest_to_it(collected: list[float]) -> None:
    Tidy(lambda: 0.0)
    assert gc.isenabled()
    assert gc.get_threshold()[2] > 1000
