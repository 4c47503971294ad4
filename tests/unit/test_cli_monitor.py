"""`qwill monitor`: the pools first, each with its source, stable keys, and no engine started for it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from engine.api import DEFINITIONS, advice_here, events, memory, pools, shared_here, specs
from tui.cli import machine_samples
from tui.cli.doctor import memory as doctor
from tui.cli.main import DONE, main
from tui.cli.monitor import facts, line, pool_rows, remarks, rows
from tui.cli.monitor_words import WIDTH, explained

GIB = 1 << 30
DOCS = Path(__file__).resolve().parents[2] / "docs" / "memory.md"
RADEON = specs.GpuSample(
    "Radeon 780M",
    "amd",
    vram_total=4 * GIB,
    vram_used=GIB,
    gtt_total=12 * GIB,
    gtt_used=3 * GIB,
    busy=0.5,
    integrated=True,
    ours_gtt=2 * GIB,
)
BARE = specs.MonitorSample(
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
SAMPLE = replace(BARE, pools=pools(BARE))


def test_each_pool_is_a_line_of_its_own_with_where_it_comes_from() -> None:
    gtt, aside, ram = pool_rows(SAMPLE)
    assert gtt[0] == "▸ Radeon 780M: RAM lent to the GPU (GTT) [assumed]"
    assert gtt[1:6] == ("3.0 G", "2.0 G", "1.0 G", "12.0 G", "12.0 G")
    assert "mem_info_gtt_used" in gtt[6]
    assert aside[0] == "· Radeon 780M: set aside by the firmware"
    assert aside[1:4] == ("1.0 G", "-", "-")
    assert (ram[0], ram[1], ram[2]) == ("· RAM", "8.0 G", "1.0 G")
    assert all(row[6] for row in (gtt, aside, ram))


def test_all_else_has_its_source_too() -> None:
    found = {name: (used, of, source) for name, used, of, source in rows(SAMPLE, 42)}
    assert found["engine"][:2] == ("1.0 G", "32.0 G")
    assert found["engine CPU"][:2] == ("1.5", "8 cores")
    assert found["Radeon 780M load"][:2] == ("50 %", "-")
    assert found["strain"][0] == "calm"
    assert found["programs waited"][0] == "-"
    assert all(source for _, _, source in found.values())
    waited = replace(SAMPLE, pressure=memory.Pressure(some10=12.5, full10=3.0))
    assert rows(waited, 42)[1][:3] == ("programs waited", "12.5 %", "all 3.0 %")


def test_what_a_driver_does_not_tell_is_a_dash_with_the_reason() -> None:
    why = "NVML has no memory counter for it"
    silent = specs.GpuSample("NVIDIA H100", "nvidia", integrated=False, why=why)
    sample = specs.MonitorSample(ram_total=GIB, gpus=(silent,))
    sample = replace(sample, pools=pools(sample), whys={"limit_used": "memory.current: not allowed"})
    assert pool_rows(sample)[0][1:6] == ("-", "-", "-", "-", "-")
    said = list(remarks(sample))
    assert said == [
        f"NVIDIA H100: VRAM: {why}",
        "limit_used: memory.current: not allowed",
    ]
    assert ("engine", "-", "-", "none is running") in rows(sample, None)


def test_one_line_holds_all_of_it() -> None:
    said = line(SAMPLE, 42)
    for words in (
        "RAM 8.0 G of 32.0 G",
        "VRAM 1.0 G of 4.0 G",
        "GTT 3.0 G of 12.0 G (ours 2.0 G)",
        "engine 1.0 G",
    ):
        assert words in said
    assert "engine 1.0 G" in said
    assert "engine" not in line(SAMPLE, None)
    short = replace(SAMPLE, strain=memory.Strain("critical", "RAM is nearly full"), swap_used=GIB)
    assert "memory !! very short" in line(short, 42)
    assert "swap 1.0 G of 2.0 G" in line(short, 42)
    assert "Memory: RAM is nearly full" in list(remarks(short))


def test_once_measures_this_machine_without_an_engine(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["monitor", "--once", "--json"]) == DONE
    said = json.loads(capsys.readouterr().out)
    assert said["ram_total"] > said["ram_available"] > 0
    assert said["cores"] >= 1
    assert (said["engine_pid"], said["engine_rss"]) == (None, 0)
    assert set(said["sources"]) >= {"ram", "swap", "cpu", "engine"}
    assert [pool["id"] for pool in said["pools"] if pool["main"]]
    assert main(["monitor", "--once"]) == DONE
    assert capsys.readouterr().out.startswith("pool ")
    assert not (home / "state" / "qwill" / "engine.log").exists()


def test_lines_of_json_come_until_they_are_stopped(home: Path) -> None:
    """Each is an object with the keys of `--once`, but for the sources."""
    command = [sys.executable, "-m", "tui.cli.main", "monitor", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ, text=True) as process:
        assert process.stdout is not None
        said = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == DONE
    assert said[1]["at"] > said[0]["at"]
    assert set(said[0]) == set(facts(SAMPLE, None)) - {"sources"}


def test_the_documented_keys_are_those_that_are_printed() -> None:
    text = DOCS.read_text()
    parts = {
        "a sample": specs.MonitorSample,
        "a pool": memory.Pool,
        "a GPU": specs.GpuSample,
        "a holding": memory.Holding,
    }
    for title, kind in parts.items():
        table = text.split(f"Keys of {title}", 1)[1].split("\n\n", 2)[1]
        keys = " ".join(row.split("|")[1] for row in table.splitlines()[2:])
        extra = {"engine_pid"} if kind is specs.MonitorSample else set()
        assert set(re.findall(r"`(\w+)`", keys)) == set(kind.__struct_fields__) | extra, title


def test_what_shared_means_here_is_explained_within_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    lines = explained(shared_here(SAMPLE))
    assert max(map(len, lines)) <= WIDTH
    assert [text for text in lines if text.startswith("▸")] == ["▸ AMD APU, GTT mode  (this machine)"]
    assert '"Shared memory" is RAM that the driver lends to Radeon 780M (GTT)' in lines[0]
    assert main(["monitor", "--explain", "--json"]) == DONE
    said = json.loads(capsys.readouterr().out)
    assert len(said["definitions"]) == len(DEFINITIONS)
    assert [row["id"] for row in said["definitions"] if row["here"]] == said["rows"]


def test_doctor_shows_pools_advice_and_trials() -> None:
    found = doctor.check_memory(SAMPLE)
    assert found[0].what.startswith("Radeon 780M: RAM lent to the GPU (GTT): 3.0 G of 12.0 G used")
    assert "(assumed), Qwill can grow to 12.0 G" in found[0].what
    assert {each.what for each in advice_here(SAMPLE)} <= {finding.what for finding in found}
    assert any("lie idle" in finding.what and finding.level == "note" for finding in found)
    refused = doctor.shown(doctor.Calibration("cuda:0", "780M", usable=False, why="It ended.", remedy="Do"))
    assert (refused.level, refused.do) == ("note", "Do")
    assert "256 M more" in doctor.shown(doctor.Calibration("cpu", kind="ram", moved=GIB // 4)).what


def test_doctor_tries_anew_when_it_is_asked_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def tried(tell: Callable[[str], None]) -> tuple[doctor.Calibration, ...]:
        tell("cuda:0")
        return (doctor.Calibration("cuda:0", "780M", kind="gtt", moved=GIB // 4),)

    monkeypatch.setattr(doctor, "calibrate", tried)
    assert main(["doctor", "--calibrate", "--json"]) == DONE
    said = capsys.readouterr()
    findings = [found["what"] for found in json.loads(said.out)["findings"]]
    assert "780M (cuda:0) was tried: 256 M more were used of RAM lent to the GPU (GTT)" in findings
    assert "Trying cuda:0" in said.err


def test_every_number_is_in_doctors_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == DONE
    dumped = {number["name"]: number for number in json.loads(capsys.readouterr().out)["numbers"]}
    assert dumped["ram_available"]["source"] == "/proc/meminfo: MemAvailable, kB"
    assert main(["doctor", "--numbers"]) == DONE
    assert "Memory, every number" in capsys.readouterr().out


class Attached:
    """An engine's client that tells one sample, then nothing more."""

    def __init__(self, sample: specs.MonitorSample) -> None:
        self._sample = sample
        self.closed = False

    async def events(self) -> AsyncIterator[SimpleNamespace]:
        yield SimpleNamespace(body=events.Sampled(self._sample))
        await asyncio.Event().wait()

    async def close(self) -> None:
        self.closed = True


async def test_an_engine_that_hung_for_a_while_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    own, first, second = (replace(SAMPLE, at=at) for at in (0.0, 1.0, 2.0))
    clients = [Attached(first), Attached(second)]
    waiting = iter(clients)

    async def attached(engine: int | None) -> Attached:
        return next(waiting)

    monkeypatch.setattr(machine_samples, "lock_holder", lambda: 7)
    monkeypatch.setattr(machine_samples, "_attached", attached)
    monkeypatch.setattr(
        machine_samples, "machine_sampler", lambda engine: SimpleNamespace(sample=lambda: own)
    )
    for name, value in (("ANSWER_SECONDS", 0.05), ("PERIOD", 0.001), ("AGAIN", 3)):
        monkeypatch.setattr(machine_samples, name, value)
    stream = machine_samples.stream()
    told = [(await anext(stream))[0].at for _ in range(5)]
    assert told == [1.0, 0.0, 0.0, 0.0, 2.0]
    assert clients[0].closed
