"""The pools of recorded machines: which one is the main one, how far it can grow, and what it is called."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from engine.models.machine import machine_facts
from engine.monitor import calibration
from engine.monitor.advice import Around, advice
from engine.monitor.computing import Calibration, Computing
from engine.monitor.definitions import DEFINITIONS, shared_here
from engine.monitor.numbers import numbers, redacted
from engine.monitor.pool_words import CARVE_OUT, LENT, MAPPED, SET_ASIDE
from engine.monitor.pools import free, pools
from engine.protocol.memory import Pool, TorchMemory
from engine.protocol.specs import DeviceFinding, GpuSample, MonitorSample
from tests.support.machine_tree import NAMES, machine

MIB, GIB = 1 << 20, 1 << 30


class Expected(NamedTuple):
    """The main pool of one machine."""

    id: str
    name: str
    ceiling: int
    """MiB"""
    row: str
    """Of the table of definitions."""
    source: str


MAIN = {
    "radeon-780m-small": Expected("gpu0.gtt", LENT, 15_602, "amd-gtt", "mem_info_gtt_used, bytes"),
    "radeon-780m-large": Expected("gpu0.vram", CARVE_OUT, 8_192, "amd-vram", "mem_info_vram_used, bytes"),
    "radeon-890m": Expected("gpu0.gtt", LENT, 31_744, "amd-gtt", "mem_info_gtt_used, bytes"),
    "radeon-discrete": Expected("gpu0.vram", "VRAM", 24_560, "discrete", "mem_info_vram_used, bytes"),
    "two-gpus": Expected("gpu0.vram", "VRAM", 16_368, "discrete", "0000:03:00.0/mem_info_vram_used, bytes"),
    "card1-only": Expected("gpu0.gtt", LENT, 15_602, "amd-gtt", "0000:04:00.0/mem_info_gtt_used, bytes"),
    "gb10": Expected("gpu0.unified", "memory of CPU and GPU", 90_654, "nvidia-unified", "MemAvailable, kB"),
    "nvidia-discrete": Expected("gpu0.vram", "VRAM", 24_564, "discrete", "nvmlDeviceGetMemoryInfo"),
    "nvidia-mig": Expected("gpu0.vram", "VRAM", 40_192, "discrete", "nvmlDeviceGetMemoryInfo"),
    "intel-arc": Expected("gpu0.vram", "VRAM", 16_384, "discrete", "drm-resident-vram0"),
    "intel-igpu": Expected("gpu0.gtt", MAPPED, 22_528, "intel", "drm-resident-system"),
    "apple": Expected("gpu0.unified", "memory of CPU and GPU", 21_845, "apple", "psutil"),
    "container": Expected("ram", "RAM that this container", 3_614, "ram", "memory.current"),
    "slice": Expected("ram", "RAM that this container", 4_638, "ram", "memory.current"),
    "container-v1": Expected("ram", "RAM that this container", 2_048, "ram", "memory.usage_in_bytes"),
    "no-gpu": Expected("ram", "RAM", 3_519, "ram", "MemTotal - MemAvailable"),
}


def test_every_recorded_machine_has_its_pool_named_here() -> None:
    assert set(MAIN) == set(NAMES)


@pytest.mark.parametrize("name", sorted(MAIN))
def test_the_main_pool_its_ceiling_and_where_every_number_comes_from(name: str, tmp_path: Path) -> None:
    sampler, _ = machine(name, tmp_path)
    sample = sampler.sample()
    found = pools(sample)
    main, expected = found[0], MAIN[name]
    assert [pool.id for pool in found if pool.main] == [main.id] == [expected.id]
    assert main.name.startswith(expected.name)
    assert main.basis == "assumed"
    assert expected.source in main.source
    if name != "apple":  # there the engine's pages are this process's
        assert main.ceiling is not None
        assert main.ceiling // MIB == expected.ceiling
    assert shared_here(replace(sample, pools=found)).rows[0] == expected.row
    for pool in found:
        assert pool.source
        assert pool.used is not None or pool.why
        assert (free(pool) or 0) <= (pool.ceiling or 0)
        if pool.kind != "vram":  # RAM that a GPU maps is RAM
            assert (pool.ceiling or 0) <= sample.ram_total
    told = numbers(sample)
    assert len({number.name for number in told}) == len(told)
    assert all(number.unit and number.source for number in told)
    unknown = {number.name for number in told if number.value is None and not number.why}
    assert unknown <= {"limit", "limit_used", "engine_pss"}  # there is no limit, or it is looked at later


def test_a_small_carve_out_stands_beside_the_ram_that_is_lent(tmp_path: Path) -> None:
    sampler, _ = machine("radeon-780m-small", tmp_path)
    main, aside, ram = pools(sampler.sample())
    assert (main.kind, aside.name, aside.total, ram.id) == ("gtt", SET_ASIDE, 512 * MIB, "ram")
    assert main.shared
    assert aside.shared
    assert main.others == (main.used or 0) - (main.ours or 0) > 0


def apu(vram: int, gtt: int, used: int = 0, ours: int = 0, available: int = 20) -> MonitorSample:
    """A machine with 32 GiB of RAM whose GPU has no memory of its own; all in GiB."""
    gpu = GpuSample("780M", "amd", vram * GIB, 0, gtt * GIB, used * GIB, integrated=True, ours_gtt=ours * GIB)
    return MonitorSample(ram_total=32 * GIB, ram_available=available * GIB, gpus=(gpu,))


def test_the_driver_computes_in_the_carve_out_once_gtt_is_not_larger() -> None:
    """amdgpu_ttm_init: `real_vram_size < gtt_size`, so equal sizes are the carve-out's."""
    assert pools(apu(7, 8))[0].kind == "gtt"
    assert pools(apu(8, 8))[0].kind == "vram"
    assert pools(apu(9, 8))[0].kind == "vram"


def test_what_is_lent_is_bounded_by_available_ram_and_ours() -> None:
    assert pools(apu(1, 16, used=5, ours=4))[0].ceiling == 16 * GIB
    short = pools(apu(1, 16, used=5, ours=4, available=2))[0]
    assert short.ceiling == 6 * GIB
    assert free(short) == 2 * GIB
    beyond = pools(apu(1, 124, available=40))[0]
    assert beyond.ceiling == 32 * GIB


def test_a_card_that_overflows_into_ram_says_so() -> None:
    card = GpuSample(
        "RX",
        "amd",
        8 * GIB,
        8 * GIB,
        16 * GIB,
        3 * GIB,
        integrated=False,
        ours_gtt=2 * GIB,
        ours_vram=7 * GIB,
    )
    found = pools(MonitorSample(ram_total=32 * GIB, ram_available=20 * GIB, gpus=(card,)))
    vram, gtt = (next(pool for pool in found if pool.kind == kind) for kind in ("vram", "gtt"))
    assert vram.main
    assert "which is slow" in gtt.why
    assert not gtt.main


def test_a_measurement_has_the_last_word() -> None:
    sample = apu(1, 16)
    for kind, pool in (("gtt", "gpu0.gtt"), ("vram", "gpu0.vram"), ("ram", "ram")):
        trial = Calibration("cuda:0", "780M", kind=kind, moved=256 * MIB)  # type: ignore[arg-type]
        main = pools(sample, Computing(("amd",), (trial,)))[0]
        assert (main.id, main.main, main.basis) == (pool, True, "measured")


def test_a_measured_pool_stays_the_main_one_while_its_driver_is_silent() -> None:
    """A suspended GPU, or files that vanished: dashes with the reason, and not another pool."""
    silent = GpuSample("780M", "amd", integrated=True, why="The driver does not tell: busy")
    sample = MonitorSample(ram_total=32 * GIB, ram_available=20 * GIB, gpus=(silent,))
    main = pools(sample, Computing(("amd",), (Calibration("cuda:0", "780M", kind="gtt"),)))[0]
    assert (main.id, main.main, main.used, main.why) == ("gpu0.gtt", True, None, silent.why)
    facts = machine_facts(sample, [DeviceFinding("780M", "amd", usable=True)])
    assert facts is not None
    assert facts.pool == "RAM"


def test_a_gpu_that_torch_cannot_use_is_not_the_main_pool() -> None:
    refused = Calibration("cuda:0", "780M", usable=False, why="It ended a trial process (SIGSEGV)")
    for known in (Computing(()), Computing(("nvidia",)), Computing(("amd",), (refused,))):
        found = pools(apu(1, 16), known)
        assert found[0].id == "ram"
        assert sum(pool.main for pool in found) == 1
        assert {pool.id for pool in found} == {"ram", "gpu0.gtt", "gpu0.vram"}


def test_of_two_gpus_the_one_that_was_tried_first_is_used(tmp_path: Path) -> None:
    sampler, _ = machine("two-gpus", tmp_path)
    sample = sampler.sample()
    trial = Calibration("cuda:0", sample.gpus[1].name, sample.gpus[1].address, "gtt", 256 * MIB)
    found = pools(sample, Computing(("amd",), (trial,)))
    assert (found[0].id, found[0].basis) == ("gpu1.gtt", "measured")
    assert [pool.id for pool in found if pool.gpu == found[0].gpu] == ["gpu1.gtt", "gpu1.vram"]


def test_where_no_driver_tells_our_share_torch_does(tmp_path: Path) -> None:
    sampler, _ = machine("gb10", tmp_path)
    sample = replace(sampler.sample(), torch=(TorchMemory("cuda:0", reserved=3 * GIB),))
    gpu = replace(sample.gpus[0], ours_vram=None)
    main = pools(replace(sample, gpus=(gpu,)))[0]
    assert main.ours == sample.engine_rss + 3 * GIB


def test_weights_that_are_pages_of_files_are_in_use_and_ours() -> None:
    """MemAvailable has them too, because the kernel could drop them and read them again for each token."""
    sample = MonitorSample(
        ram_total=16 * GIB, ram_available=13 * GIB, engine_rss=6 * GIB, engine_mapped=5 * GIB
    )
    (ram,) = pools(sample)
    assert (ram.used, ram.ours, ram.others) == (8 * GIB, 6 * GIB, 2 * GIB)
    assert ram.ceiling == 14 * GIB
    assert free(ram) == 8 * GIB


@pytest.mark.parametrize(
    ("name", "pool", "free_mib"),
    [
        ("radeon-780m-small", "GTT", 15_602 - 930),
        ("radeon-780m-large", "VRAM", 8_192 - 3_072),
        ("nvidia-discrete", "VRAM", 24_564 - 8_710),
        ("gb10", "unified", 81_920 - 402),
        ("container", "RAM", 2_048),
        ("no-gpu", "RAM", 1_953),
    ],
)
def test_a_fit_goes_by_the_main_pool(name: str, pool: str, free_mib: int, tmp_path: Path) -> None:
    sampler, _ = machine(name, tmp_path)
    sample = sampler.sample()
    devices = [DeviceFinding(g.name, g.kind, usable=True) for g in sample.gpus if g.kind != "intel"]
    facts = machine_facts(replace(sample, pools=()), devices)
    assert facts is not None
    assert facts.pool == pool
    assert abs(facts.free / MIB - free_mib) <= 2
    assert facts == machine_facts(sample, devices)


def test_what_trials_showed_is_found_again_for_the_same_gpus_only(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = (GpuSample("780M", "amd", address="0000:04:00.0"),)
    trial = Calibration("cuda:0", "780M", "0000:04:00.0", "gtt", 256 * MIB)
    calibration.remember(calibration.key(gpus), [trial])
    assert calibration.computing(gpus).found == (trial,)
    assert calibration.remembered(calibration.key(())) is None
    monkeypatch.setenv("HSA_OVERRIDE_GFX_VERSION", "11.0.0")
    assert calibration.computing(gpus).found == ()


@pytest.mark.parametrize("content", [b"", b"{", b"\x00" * 100, b'[{"key": 3}]', b"[]" + b" " * (1 << 21)])
def test_a_broken_memory_of_trials_counts_as_none(content: bytes, home: Path) -> None:
    calibration.remember("k", [])
    (home / "state" / "qwill" / calibration.FILE).write_bytes(content)
    assert calibration.remembered("k") is None


# --- words ----------------------------------------------------------------------------------


def ids(sample: MonitorSample, here: Around | None = None) -> set[str]:
    return {each.id for each in advice(sample, here or Around())}


def test_advice_on_an_apu_goes_by_carve_out_and_gtt() -> None:
    assert "carve-out-idle" in ids(apu(8, 12))
    assert not ids(apu(0, 12)) & {"carve-out-idle", "carve-out-small", "pages-limit"}
    assert "carve-out-small" in ids(apu(8, 4))
    (small,) = (each for each in advice(apu(8, 4), Around()) if each.id == "carve-out-small")
    assert "20.0 GiB" in small.do  # half of 32 + 8
    assert "pages-limit" in ids(apu(1, 24))
    assert "pages-limit" in ids(apu(1, 12), Around(pages_limit=30 * GIB))
    assert "only 32.0 GiB" in next(
        each.what for each in advice(apu(1, 124), Around()) if each.id == "pages-limit"
    )


def test_advice_on_containers_and_overrides(tmp_path: Path) -> None:
    sampler, _ = machine("container", tmp_path)
    assert "shm-small" in ids(sampler.sample())
    boxed = replace(apu(1, 16), limit=8 * GIB, limit_used=GIB)
    assert "gtt-not-charged" in ids(boxed)
    assert "does not count it" in pools(boxed)[0].why
    assert "no-swap" in ids(apu(1, 16))
    assert "no-swap" not in ids(replace(apu(1, 16), swap_total=GIB))
    assert "override" in ids(apu(1, 16), Around(override="11.0.0"))
    refused = Calibration("cuda:0", "780M", usable=False, why="It ended", remedy="Write it")
    first = advice(apu(1, 16), Around(trials=(refused,)))[0]
    assert (first.id, first.do) == ("gpu-refused", "Write it")


def test_the_table_has_the_words_that_people_bring_along() -> None:
    rows = {row.id: row for row in DEFINITIONS}
    assert len(rows) == len(DEFINITIONS)
    assert {expected.row for expected in MAIN.values()} < set(rows)
    assert "Task Manager" in rows["windows"].platform
    assert "no GPU" in rows["posix"].shared


def test_a_dump_names_nobody() -> None:
    secret = "/sys/fs/cgroup/user.slice/user-1000.slice/session-3.scope /" + "home/maria/x " + "0a" * 32
    for word in ("1000", "maria", "0a0a", "session-3"):
        assert word not in redacted(secret)
    assert redacted("/proc/PID/smaps_rollup: Pss, kB") == "/proc/PID/smaps_rollup: Pss, kB"


def test_nothing_read_yet_is_said_plainly() -> None:
    assert shared_here(MonitorSample()).lines == ("No memory has been read yet.",)
    assert [type(pool) for pool in pools(MonitorSample())] == [Pool]
