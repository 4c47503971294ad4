"""`qwill monitor`: two numbers for two pools, each with its source, and no engine started for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.api import specs
from tui.cli.main import DONE, main
from tui.cli.monitor import line, rows

GIB = 1 << 30
RADEON = specs.GpuSample(
    "Radeon 780M", "amd", vram_total=4 * GIB, vram_used=GIB, gtt_total=12 * GIB, gtt_used=3 * GIB, busy=0.5
)
SAMPLE = specs.MonitorSample(
    at=1.0,
    ram_total=32 * GIB,
    ram_available=24 * GIB,
    swap_total=2 * GIB,
    engine_rss=GIB,
    cpu=0.25,
    engine_cpu=1.5,
    cores=8,
    gpus=(RADEON,),
)


def test_vram_and_gtt_are_two_numbers_and_each_says_where_it_comes_from() -> None:
    found = {name: (used, of, source) for name, used, of, source in rows(SAMPLE, 42)}
    assert found["RAM"][:2] == ("8.0 G", "32.0 G")
    assert found["engine"][:2] == ("1.0 G", "32.0 G")
    assert found["engine CPU"][:2] == ("1.5", "8 cores")
    vram, gtt = found["Radeon 780M VRAM"], found["Radeon 780M GTT"]
    assert vram[:2] == ("1.0 G", "4.0 G")
    assert gtt[:2] == ("3.0 G", "12.0 G")
    assert "mem_info_vram_used" in vram[2]
    assert "mem_info_gtt_used" in gtt[2]
    assert all(source for _, _, source in found.values())


def test_what_a_driver_does_not_tell_is_a_dash_with_the_reason() -> None:
    silent = specs.GpuSample("NVIDIA GB10", "nvidia", why="NVML has no memory counter for it")
    found = rows(specs.MonitorSample(gpus=(silent,)), None)
    assert ("NVIDIA GB10", "-", "-", "NVML has no memory counter for it") in found
    assert ("engine", "-", "-", "none is running") in found


def test_one_line_holds_all_of_it() -> None:
    said = line(SAMPLE, 42)
    for words in ("RAM 8.0 G of 32.0 G", "VRAM 1.0 G of 4.0 G", "GTT 3.0 G of 12.0 G", "engine 1.0 G"):
        assert words in said
    assert "engine" not in line(SAMPLE, None)


def test_once_measures_this_machine_without_an_engine(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["monitor", "--once", "--json"]) == DONE
    said = json.loads(capsys.readouterr().out)
    assert said["ram_total"] > said["ram_available"] > 0
    assert said["cores"] >= 1
    assert (said["engine_pid"], said["engine_rss"]) == (None, 0)
    assert set(said["sources"]) >= {"ram", "swap", "cpu", "engine"}
    assert not (home / "state" / "qwill" / "engine.log").exists()
