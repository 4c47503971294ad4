"""Recorded machines, read by the monitor's own readers: the exact numbers of each."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from engine.monitor.apple import AppleReader, Handover, MpsNumbers
from engine.monitor.cgroup import group_paths, read_group
from engine.monitor.processes import PAGE
from engine.protocol.memory import Pressure
from engine.protocol.specs import GpuSample
from tests.support.machine_tree import NAMES, PID, Recorded, machine, patient

__all__ = ["patient"]
pytestmark = pytest.mark.usefixtures("patient")
CALM = Pressure(some10=0.0, some60=0.12, full10=0.0, full60=0.03)


class Expected(NamedTuple):
    """What a machine's first sample holds."""

    gpus: list[GpuSample]
    ram: dict[str, Any]


MACHINES = {
    "apple": Expected(
        [
            GpuSample(
                "Apple GPU",
                "apple",
                vram_total=22906503168,
                integrated=True,
                ours_vram=4294967296,
            )
        ],
        {},
    ),
    "card1-only": Expected(
        [
            GpuSample(
                "Phoenix1",
                "amd",
                vram_total=536870912,
                vram_used=482959360,
                gtt_total=16360796160,
                gtt_used=512000000,
                busy=0.37,
                address="0000:04:00.0",
                integrated=True,
                visible_total=536870912,
                visible_used=481910784,
                ours_vram=0,
                ours_gtt=0,
                power=15.012,
                clock=800000000,
                temperature=45.0,
            )
        ],
        {
            "ram_total": 32883343360,
            "ram_available": 21474836480,
            "swap_total": 8589934592,
            "swap_used": 268435456,
            "shmem": 536870912,
            "shm_total": 16441671680,
            "shm_used": 1048576,
            "pressure": CALM,
        },
    ),
    "container": Expected(
        [],
        {
            "ram_total": 66571993088,
            "ram_available": 51539607552,
            "shmem": 67108864,
            "shm_total": 67108864,
            "shm_used": 4096,
            "limit": 4294967296,
            "limit_used": 2147483648,
            "pressure": Pressure(some10=12.5, some60=4.2, full10=3.25, full60=1.1),
        },
    ),
    "container-v1": Expected(
        [],
        {
            "ram_total": 16441671680,
            "ram_available": 12884901888,
            "shmem": 67108864,
            "shm_total": 67108864,
            "shm_used": 0,
            "limit": 2147483648,
            "limit_used": 1073741824,
            "pressure": CALM,
        },
    ),
    "gb10": Expected(
        [
            GpuSample(
                "NVIDIA GB10",
                "nvidia",
                busy=0.42,
                why="It has no memory of its own and works in the machine's RAM, of which NVML does not tell",
                address="000f:01:00.0",
                integrated=True,
                ours_vram=7516192768,
                memory_busy=0.0,
                power=31.25,
                clock=2411000000,
                temperature=52.0,
            )
        ],
        {
            "ram_total": 128526057472,
            "ram_available": 85899345920,
            "swap_total": 8589934592,
            "swap_used": 268435456,
            "shmem": 536870912,
            "shm_total": 16441671680,
            "shm_used": 1048576,
            "pressure": CALM,
        },
    ),
    "intel-arc": Expected(
        [
            GpuSample(
                "Intel DG2 [Arc A770]",
                "intel",
                vram_total=17179869184,
                why="The xe driver tells only of the engine's own memory. "
                "It does not tell: power (known from the next look on)",
                address="0000:03:00.0",
                integrated=False,
                ours_vram=8589934592,
                ours_gtt=136314880,
                clock=2400000000,
                temperature=58.0,
            )
        ],
        {
            "ram_total": 32883343360,
            "ram_available": 21474836480,
            "swap_total": 8589934592,
            "swap_used": 268435456,
            "shmem": 536870912,
            "shm_total": 16441671680,
            "shm_used": 1048576,
            "pressure": CALM,
        },
    ),
    "intel-igpu": Expected(
        [
            GpuSample(
                "Intel Alder Lake-P GT2 [Iris Xe Graphics]",
                "intel",
                why="The i915 driver tells only of the engine's own memory. "
                "It does not tell: temperature, power (missing)",
                address="0000:00:02.0",
                integrated=True,
                ours_vram=0,
                ours_gtt=2147483648,
                clock=1300000000,
            )
        ],
        {
            "ram_total": 32883343360,
            "ram_available": 21474836480,
            "swap_total": 8589934592,
            "swap_used": 268435456,
            "shmem": 536870912,
            "shm_total": 16441671680,
            "shm_used": 1048576,
            "pressure": CALM,
        },
    ),
    "no-gpu": Expected(
        [],
        {
            "ram_total": 4123000832,
            "ram_available": 2048000000,
            "shmem": 1048576,
            "shm_total": 2061500416,
            "shm_used": 0,
        },
    ),
    "nvidia-discrete": Expected(
        [
            GpuSample(
                "NVIDIA GeForce RTX 4090",
                "nvidia",
                vram_total=25757220864,
                vram_used=9133096960,
                busy=0.98,
                address="0000:01:00.0",
                integrated=False,
                ours_vram=8455716864,
                memory_busy=0.71,
                power=388.12,
                clock=2730000000,
                temperature=66.0,
            )
        ],
        {
            "ram_total": 134217728000,
            "ram_available": 107374182400,
            "swap_total": 8589934592,
            "swap_used": 268435456,
            "shmem": 536870912,
            "shm_total": 16441671680,
            "shm_used": 1048576,
            "pressure": CALM,
        },
    ),
    "nvidia-mig": Expected(
        [
            GpuSample(
                "NVIDIA H100 80GB HBM3 MIG 3g.40gb",
                "nvidia",
                vram_total=42144366592,
                vram_used=2144366592,
                why="NVML does not tell: load (not supported), "
                "the engine's own share (the host numbers processes otherwise)",
                address="0000:4e:00.0",
                integrated=False,
                power=190.5,
                clock=1980000000,
                temperature=41.0,
            ),
            GpuSample(
                "NVIDIA H100 80GB HBM3 MIG 1g.10gb",
                "nvidia",
                vram_total=10468982784,
                vram_used=68982784,
                why="NVML does not tell: load (not supported)",
                address="0000:4e:00.0",
                integrated=False,
                ours_vram=0,
                power=190.5,
                clock=1980000000,
                temperature=41.0,
            ),
        ],
        {
            "ram_total": 134217728000,
            "ram_available": 107374182400,
            "swap_total": 8589934592,
            "swap_used": 268435456,
            "shmem": 536870912,
            "shm_total": 16441671680,
            "shm_used": 1048576,
            "pressure": CALM,
        },
    ),
    "radeon-780m-large": Expected(
        [
            GpuSample(
                "AMD Radeon 780M",
                "amd",
                vram_total=8589934592,
                vram_used=3221225472,
                gtt_total=4026531840,
                gtt_used=41943040,
                busy=0.98,
                address="0000:04:00.0",
                integrated=True,
                visible_total=8589934592,
                visible_used=3221225472,
                ours_vram=2831155200,
                ours_gtt=12582912,
                power=41.0,
                clock=2700000000,
                temperature=71.0,
            )
        ],
        {
            "ram_total": 8053063680,
            "ram_available": 4294967296,
            "swap_total": 8589934592,
            "swap_used": 268435456,
            "shmem": 536870912,
            "shm_total": 4026531840,
            "shm_used": 1048576,
            "pressure": CALM,
        },
    ),
    "radeon-780m-small": Expected(
        [
            GpuSample(
                "AMD Radeon 780M",
                "amd",
                vram_total=536870912,
                vram_used=482959360,
                gtt_total=16360796160,
                gtt_used=975273984,
                busy=0.37,
                address="0000:04:00.0",
                integrated=True,
                visible_total=536870912,
                visible_used=481910784,
                ours_vram=41943040,
                ours_gtt=420478976,
                power=15.012,
                clock=800000000,
                temperature=45.0,
            )
        ],
        {
            "ram_total": 32883343360,
            "ram_available": 21474836480,
            "swap_total": 8589934592,
            "swap_used": 268435456,
            "shmem": 536870912,
            "shm_total": 16441671680,
            "shm_used": 1048576,
            "pressure": CALM,
        },
    ),
    "radeon-890m": Expected(
        [
            GpuSample(
                "AMD Radeon 890M Graphics",
                "amd",
                vram_total=536870912,
                vram_used=95420416,
                gtt_total=33285996544,
                gtt_used=25872564224,
                busy=1.0,
                address="0000:c5:00.0",
                integrated=True,
                visible_total=536870912,
                visible_used=95420416,
                ours_vram=5476352,
                ours_gtt=25864192000,
                power=33.12,
                clock=2900000000,
                temperature=88.5,
            )
        ],
        {
            "ram_total": 66571993088,
            "ram_available": 34359738368,
            "swap_total": 8589934592,
            "swap_used": 268435456,
            "shmem": 536870912,
            "shm_total": 33285996544,
            "shm_used": 1048576,
            "pressure": CALM,
        },
    ),
    "radeon-discrete": Expected(
        [
            GpuSample(
                "AMD Radeon RX 7900 XTX",
                "amd",
                vram_total=25753026560,
                vram_used=17179869184,
                gtt_total=33285996544,
                gtt_used=104857600,
                busy=0.97,
                address="0000:03:00.0",
                integrated=False,
                visible_total=25753026560,
                visible_used=17000000000,
                ours_vram=16777216000,
                ours_gtt=33554432,
                memory_busy=0.61,
                power=301.0,
                clock=2482000000,
                temperature=62.0,
            )
        ],
        {
            "ram_total": 66571993088,
            "ram_available": 51539607552,
            "swap_total": 8589934592,
            "swap_used": 268435456,
            "shmem": 536870912,
            "shm_total": 16441671680,
            "shm_used": 1048576,
            "pressure": CALM,
        },
    ),
    "slice": Expected(
        [],
        {
            "ram_total": 32883343360,
            "ram_available": 21474836480,
            "swap_total": 8589934592,
            "shmem": 536870912,
            "shm_total": 16441671680,
            "shm_used": 0,
            "limit": 8589934592,
            "limit_used": 5368709120,
            "pressure": CALM,
        },
    ),
    "two-gpus": Expected(
        [
            GpuSample(
                "Navi 21 [Radeon RX 6800/6800 XT / 6900 XT]",
                "amd",
                vram_total=17163091968,
                vram_used=0,
                gtt_total=33285996544,
                gtt_used=0,
                why="The amdgpu driver does not tell: "
                "load, memory load, power, clock, temperature (it sleeps)",
                address="0000:03:00.0",
                integrated=False,
                visible_total=17163091968,
                visible_used=0,
                ours_vram=0,
                ours_gtt=0,
            ),
            GpuSample(
                "AMD Radeon 780M",
                "amd",
                vram_total=536870912,
                vram_used=482959360,
                gtt_total=16360796160,
                gtt_used=975273984,
                busy=0.37,
                address="0000:04:00.0",
                integrated=True,
                visible_total=536870912,
                visible_used=481910784,
                ours_vram=0,
                ours_gtt=1073741824,
                power=15.012,
                clock=800000000,
                temperature=45.0,
            ),
        ],
        {
            "ram_total": 32883343360,
            "ram_available": 21474836480,
            "swap_total": 8589934592,
            "swap_used": 268435456,
            "shmem": 536870912,
            "shm_total": 16441671680,
            "shm_used": 1048576,
            "pressure": CALM,
        },
    ),
}


def test_every_layout_is_covered() -> None:
    assert set(MACHINES) == set(NAMES)
    assert len(NAMES) >= 12


@pytest.mark.parametrize("name", NAMES)
def test_the_numbers_of_a_machine(name: str, tmp_path: Path) -> None:
    sampler, _ = machine(name, tmp_path)
    sample = sampler.sample()
    expected = MACHINES[name]
    assert list(sample.gpus) == expected.gpus
    assert {key: getattr(sample, key) for key in expected.ram} == expected.ram
    if expected.ram:
        assert (sample.engine_rss, sample.engine_mapped) == (504_000 * PAGE, 103_000 * PAGE)
        assert sample.engine_pss == 1_809_000 << 10


@pytest.mark.parametrize("name", NAMES)
def test_a_quick_look_agrees_with_a_sample(name: str, tmp_path: Path) -> None:
    """By the GPU's number in the sample; what a driver does not tell is left out."""
    sampler, _ = machine(name, tmp_path)
    sample, quick = sampler.sample(), sampler.quick()
    told = {
        f"gpu{number}.{pool}": used
        for number, gpu in enumerate(sample.gpus)
        for pool, used in (("vram", gpu.vram_used), ("gtt", gpu.gtt_used))
        if used is not None
    }
    assert {key: used for key, used in quick.items() if key.startswith("gpu")} == told
    assert quick["ram"] > 0
    if name != "apple":  # its RAM is that of the machine that runs the test
        assert quick["ram"] == sample.ram_total - sample.ram_available
        assert quick["engine"] == sample.engine_rss


def changed(files: Recorded, *pairs: tuple[str, str]) -> None:
    """Replace texts in all files, where links are none of them."""
    for path in files.paths():
        file = files.folder / path.lstrip("/")
        text = file.read_text()
        for old, new in pairs:
            text = text.replace(old, new)
        file.write_text(text)


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the clock of the readers shows."""
    shown = [1000.0]
    clock = SimpleNamespace(monotonic=lambda: shown[0])
    monkeypatch.setattr("engine.monitor.fdinfo.time", clock)
    monkeypatch.setattr("engine.monitor.intel.time", clock)
    return shown


def test_the_load_of_i915_is_the_engine_s_own_from_nanoseconds(tmp_path: Path, seconds: list[float]) -> None:
    """A quarter of a second of work in half a second; before, there was no second look."""
    sampler, files = machine("intel-igpu", tmp_path)
    assert sampler.sample().gpus[0].busy is None
    changed(files, ("9288864723 ns", "9538864723 ns"))
    seconds[0] += 0.5
    assert sampler.sample().gpus[0].busy == pytest.approx(0.5)
    seconds[0] += 0.5
    assert sampler.sample().gpus[0].busy == 0.0


def test_the_load_of_xe_is_a_ratio_of_cycles(tmp_path: Path, seconds: list[float]) -> None:
    """Four equal engines worked 400 of 500 cycles together: a fifth of each."""
    sampler, files = machine("intel-arc", tmp_path)
    sampler.sample()
    changed(files, ("4000000000", "4000000400"), ("7655183225", "7655183725"))
    seconds[0] += 1.0
    assert sampler.sample().gpus[0].busy == pytest.approx(0.2)


def test_a_counter_that_falls_back_is_no_load(tmp_path: Path, seconds: list[float]) -> None:
    """The larger value stays until the counter has caught up (kernel docs, drm-usage-stats)."""
    sampler, files = machine("intel-igpu", tmp_path)
    sampler.sample()
    for text, busy in (("9000000000", 0.0), ("9288864723", 0.0), ("9388864723", 0.1)):
        path = files.folder / "proc/4242/fdinfo/30"
        path.write_text(re.sub(r"render:\t\d+", f"render:\t{text}", path.read_text()))
        seconds[0] += 1.0
        assert sampler.sample().gpus[0].busy == pytest.approx(busy)


def test_power_is_told_from_energy(tmp_path: Path, seconds: list[float]) -> None:
    """Twenty joules in half a second; the first look knows none, nor one after the counter began anew."""
    sampler, files = machine("intel-arc", tmp_path)
    assert sampler.sample().gpus[0].power is None
    changed(files, ("5000000000", "5020000000"))
    seconds[0] += 0.5
    gpu = sampler.sample().gpus[0]
    assert gpu.power == pytest.approx(40.0)
    assert "power" not in gpu.why
    changed(files, ("5020000000", "7"))
    seconds[0] += 0.5
    assert sampler.sample().gpus[0].power is None


def test_the_lowest_limit_above_a_group_counts(tmp_path: Path) -> None:
    _, files = machine("slice", tmp_path)
    group = read_group(files, PID)
    assert group.path.endswith("/user-1000.slice")
    assert (group.limit, group.used, group.high) == (8 << 30, 5 << 30, 6 << 30)


def test_a_group_tells_of_those_that_were_killed_in_it(tmp_path: Path) -> None:
    _, files = machine("container", tmp_path)
    group = read_group(files, PID)
    assert (group.kills, group.swap, group.high) == (1, 0, None)
    assert group.pressure == Pressure(12.5, 4.2, 3.25, 1.1)


def test_version_1_of_groups_is_understood_too(tmp_path: Path) -> None:
    """Inside, the path of the host stands for the mount's root; nearly 2^63 is no limit."""
    _, files = machine("container-v1", tmp_path)
    assert read_group(files, PID)[:5] == ("/sys/fs/cgroup/memory", 2 << 30, None, 1 << 30, None)
    assert read_group(files, PID).kills == 2
    (files.folder / "sys/fs/cgroup/memory/memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert read_group(files, PID).limit is None


@pytest.mark.parametrize(
    ("line", "paths"),
    [
        ("0::/a/b", ["/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup"]),
        ("0::/../..", ["/sys/fs/cgroup"]),
        ("4:memory:/x", []),
        ("", []),
    ],
)
def test_groups_from_our_own_up_to_the_root(tmp_path: Path, line: str, paths: list[str]) -> None:
    _, files = machine("container", tmp_path)
    (files.folder / f"proc/{PID}/cgroup").write_text(line + "\n")
    assert group_paths(files, PID, {})[1] == paths


def test_a_mac_says_what_torch_told_and_how_old_that_is(monkeypatch: pytest.MonkeyPatch) -> None:
    handover, shown = Handover(), [100.0]
    monkeypatch.setattr("engine.monitor.apple.time", SimpleNamespace(monotonic=lambda: shown[0]))
    reader = AppleReader(handover, here=True)
    assert reader.read() == [
        GpuSample("Apple GPU", "apple", integrated=True, why="torch has not told its numbers yet")
    ]
    handover.put(MpsNumbers(allocated=5, driver=7, recommended=100))
    assert (reader.read()[0].vram_total, reader.read()[0].ours_vram, reader.read()[0].why) == (100, 7, "")
    shown[0] += 60.0
    assert (reader.read()[0].age, reader.read()[0].why) == (60.0, "torch has not told newer numbers")
    assert AppleReader(handover, here=False).read() == []


def test_an_engine_that_ended_counts_nothing(tmp_path: Path) -> None:
    sampler, files = machine("radeon-780m-small", tmp_path)
    assert sampler.sample().engine_rss > 0
    for pid in (PID, PID + 1):
        shutil.rmtree(files.folder / f"proc/{pid}")
    sample = sampler.sample()
    assert (sample.engine_rss, sample.engine_cpu) == (0, 0.0)
    assert (sample.gpus[0].ours_vram, sample.gpus[0].ours_gtt) == (0, 0)
