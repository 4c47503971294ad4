"""Idle models: when they may go, and what keeps them."""

from __future__ import annotations

from engine.keep_alive import MINUTES, KeepAlive
from engine.settings import EngineSettings

NONE = EngineSettings()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def idle(minutes: float, settings: EngineSettings = NONE, *, watched: bool = False) -> bool:
    clock = Clock()
    alive = KeepAlive(lambda: watched, clock)
    alive.used("a")
    clock.now += minutes * 60
    return alive.expired(["a"], settings) == ["a"]


def test_by_default_an_idle_model_stays_half_an_hour() -> None:
    assert not idle(MINUTES - 1)
    assert idle(MINUTES)


def test_by_default_it_stays_while_a_workbench_is_open() -> None:
    assert not idle(600, watched=True)


def test_a_number_of_minutes_counts_also_at_a_workbench() -> None:
    assert not idle(4, EngineSettings(keep_alive=5.0), watched=True)
    assert idle(5, EngineSettings(keep_alive=5.0), watched=True)


def test_none_at_all_and_for_ever() -> None:
    assert idle(0, EngineSettings(keep_alive=0.0))
    assert not idle(10**6, EngineSettings(keep_alive="off"))


def test_a_model_at_work_is_not_idle_and_begins_to_be_when_it_is_done() -> None:
    clock = Clock()
    alive = KeepAlive(lambda: False, clock)
    with alive.use("a"):
        clock.now += 10_000
        assert alive.busy("a")
        assert alive.expired(["a"], NONE) == []
    assert not alive.busy("a")
    assert alive.expired(["a"], NONE) == []
    assert alive.last("a") == clock.now
    clock.now += MINUTES * 60
    assert alive.expired(["a", "never used"], NONE) == ["a"]
