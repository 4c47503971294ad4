"""Every file that the monitor reads, with every fault; and one that answers after five seconds."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.deep import deep
from tests.support.machine_faults import FAULTS, Hang, readers, spoiled
from tests.support.machine_tree import NAMES, machine, patient

__all__ = ["patient"]
pytestmark = [deep, pytest.mark.timeout(900)]


@pytest.mark.usefixtures("patient")
def test_any_file_may_fail_in_any_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("engine.monitor.cards.LOOK_EVERY", 0.0)
    monkeypatch.setattr("engine.monitor.sample.PSS_EVERY", 0.0)
    monkeypatch.setattr("engine.monitor.sample.PSS_SHARE", 0.0)
    counts = {name: spoiled(name, tmp_path / name, each=True) for name in NAMES}
    print(
        f"\n{sum(counts.values())} faults ({len(FAULTS)} of each file) on {len(counts)} machines: "
        f"{len(caplog.records)} exceptions"
    )
    assert sum(counts.values()) > 3000
    assert [record.getMessage() for record in caplog.records] == []


def test_a_driver_that_answers_after_five_seconds(tmp_path: Path) -> None:
    """Ten samples a second go on; the one card's numbers grow old, and are new again afterwards."""
    sampler, files = machine("two-gpus", tmp_path)
    sampler.sample()
    before, hang = readers(), Hang()
    files.faults = {path: hang for path in files.paths() if path.endswith("0000:04:00.0/gpu_busy_percent")}
    longest = oldest = 0.0
    began = time.monotonic()
    while (now := time.monotonic()) < began + 5.0:
        sample = sampler.sample()
        longest = max(longest, time.monotonic() - now)
        oldest = max(oldest, sample.gpus[1].age)
        assert sample.ram_total > 0
        assert sample.gpus[1].vram_used is not None
        time.sleep(0.1)
    print(f"\nlongest sample {longest * 1e3:.0f} ms, oldest number {oldest:.1f} s")
    assert readers() - before <= 1
    assert oldest > 2.0
    assert "no answer for" in sampler.sample().gpus[1].why
    assert longest < 2.0
    hang.released.set()
    while sampler.sample().gpus[1].age and time.monotonic() < began + 60:
        time.sleep(0.05)
    assert (sampler.sample().gpus[1].age, sampler.sample().gpus[1].why) == (0.0, "")
