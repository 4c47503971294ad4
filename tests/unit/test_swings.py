"""The least and the most between two samples."""

from __future__ import annotations

from msgspec.structs import replace

from engine.monitor.swings import Swings
from engine.protocol.memory import Pool, Swing
from engine.protocol.specs import MonitorSample


def sample(rss: int, used: int, gtt: int | None = None) -> MonitorSample:
    pools = () if gtt is None else (Pool("gpu0.gtt", "gtt", used=gtt),)
    return MonitorSample(ram_total=1000, ram_available=1000 - used, engine_rss=rss, pools=pools)


def test_a_peak_between_two_samples_is_in_the_next_one_alone() -> None:
    swings = Swings()
    assert swings.close(sample(100, 500)) == {"engine": Swing(100, 100), "ram": Swing(500, 500)}
    for rss, used in ((110, 480), (300, 700), (90, 505)):
        swings.add({"engine": rss, "ram": used})
    assert swings.close(sample(105, 500)) == {"engine": Swing(90, 300), "ram": Swing(480, 700)}
    assert swings.close(sample(105, 500)) == {"engine": Swing(105, 105), "ram": Swing(500, 500)}


def test_pools_swing_by_what_everybody_uses() -> None:
    swings = Swings()
    swings.close(sample(100, 500, gtt=10))
    swings.add({"engine": 100, "gpu0.gtt": 90, "gpu0.vram": 7})
    found = swings.close(sample(100, 500, gtt=20))
    assert found["gpu0.gtt"] == Swing(10, 90)
    assert "gpu0.vram" not in found  # no such pool


def test_memory_that_cpu_and_gpu_share_swings_as_ram_does() -> None:
    swings = Swings()
    pool = Pool("gpu0.unified", "unified", used=500, main=True)
    swings.add({"ram": 800, "engine": 1})
    assert swings.close(replace(sample(100, 500), pools=(pool,)))["gpu0.unified"] == Swing(500, 800)


def test_a_reader_that_says_nothing_leaves_the_samples() -> None:
    swings = Swings()
    swings.add({})
    assert swings.close(sample(1, 2))["engine"] == Swing(1, 1)
