"""Drivers and kernels that fail: no exception, no impossible number, a reason for each unknown one."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.monitor.patience import Patient, ask_all
from engine.monitor.sample import Sampler
from tests.support.machine_faults import FAULTS, Hang, failing, readers, spoiled, troubles
from tests.support.machine_tree import NAMES, Recorded, RecordedNvml, machine, patient

__all__ = ["patient"]
pytestmark = pytest.mark.usefixtures("patient")
VRAM = "/sys/devices/pci0000:00/0000:00:08.1/0000:04:00.0/mem_info_vram_used"
KINDS = list(FAULTS)
LOOSE = 10.0
"""Seconds that a sample may take on a machine that is busy with other things."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at once for cards and PSS."""
    monkeypatch.setattr("engine.monitor.cards.LOOK_EVERY", 0.0)
    monkeypatch.setattr("engine.monitor.sample.PSS_EVERY", 0.0)
    monkeypatch.setattr("engine.monitor.sample.PSS_SHARE", 0.0)


@pytest.fixture
def hang() -> Iterator[Hang]:
    found = Hang()
    yield found
    found.released.set()


@pytest.mark.parametrize("name", NAMES)
def test_any_file_may_fail(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One fault for each file, in turn."""
    assert spoiled(name, tmp_path) > 0 or name == "apple"
    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.parametrize("kind", KINDS)
def test_all_files_of_a_gpu_may_fail_together(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sampler, files = machine("two-gpus", tmp_path)
    sound = sampler.sample()
    files.faults = dict.fromkeys((path for path in files.paths() if "/sys/" in path), FAULTS[kind])
    sample = sampler.sample()
    assert troubles(sample, sound) == []
    assert len(sample.gpus) == 2
    assert [record.getMessage() for record in caplog.records] == []


def test_a_number_that_cannot_be_read_now_has_an_age(tmp_path: Path) -> None:
    """A GPU that is busy with itself answers EBUSY: unknown, why, and since when."""
    sampler, files = machine("radeon-780m-small", tmp_path)
    assert sampler.sample().gpus[0].age == 0.0
    files.faults = {VRAM: failing(errno.EBUSY)}
    gpu = sampler.sample().gpus[0]
    assert gpu.vram_used is None
    assert gpu.gtt_used == 975273984
    assert gpu.why == "The amdgpu driver does not tell: VRAM used (busy)"
    assert gpu.age > 0.0
    files.faults = {}
    assert (sampler.sample().gpus[0].why, sampler.sample().gpus[0].age) == ("", 0.0)


def hanging(sampler: Sampler, files: Recorded, path: str, hang: Hang) -> float:
    """Seconds that a sample and a quick look take while a file hangs."""
    files.faults = {path: hang}
    began = time.monotonic()
    sampler.sample()
    sampler.quick()
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("radeon-780m-small", VRAM),
        ("radeon-780m-small", "/proc/4242/fdinfo/20"),
        ("radeon-780m-small", "/proc/4242/smaps_rollup"),
        ("radeon-780m-small", "/proc/meminfo"),
        ("container", "/sys/fs/cgroup/memory.current"),
        ("intel-igpu", "/sys/devices/pci0000:00/0000:00:02.0/vendor"),
    ],
)
def test_a_file_that_hangs_stops_nobody(
    name: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hang: Hang
) -> None:
    """Its numbers stay as they were, the others go on, and no threads pile up behind it."""
    sampler, files = machine(name, tmp_path)
    sound = sampler.sample()
    sampler.quick()
    before = readers()
    monkeypatch.setattr("engine.monitor.patience.PATIENCE", 0.05)
    assert hanging(sampler, files, path, hang) < LOOSE
    samples = [sampler.sample() for _ in range(10)]
    assert readers() - before <= 2  # the whole look, and the quick one
    assert all(sample.ram_total == sound.ram_total for sample in samples)
    assert [gpu.vram_total for gpu in samples[-1].gpus] == [gpu.vram_total for gpu in sound.gpus]
    hang.released.set()
    files.faults = {}
    until = time.monotonic() + LOOSE
    while any(gpu.age for gpu in sampler.sample().gpus) and time.monotonic() < until:
        pass
    assert [gpu.age for gpu in sampler.sample().gpus] == [0.0 for _ in sound.gpus]


def test_an_old_number_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hang: Hang) -> None:
    sampler, files = machine("two-gpus", tmp_path)
    sound = sampler.sample()
    sampler.quick()
    monkeypatch.setattr("engine.monitor.patience.PATIENCE", 0.01)
    monkeypatch.setattr("engine.monitor.patience.LATE", 0.0)
    hanging(sampler, files, VRAM, hang)
    monkeypatch.setattr("engine.monitor.patience.PATIENCE", 60.0)
    until = time.monotonic() + LOOSE
    while sampler.sample().gpus[0].age and time.monotonic() < until:
        pass  # on a busy machine it may have been too slow for a hundredth of a second, too
    asleep, stuck = sampler.sample().gpus
    assert (stuck.vram_used, stuck.gtt_used) == (sound.gpus[1].vram_used, sound.gpus[1].gtt_used)
    assert stuck.age > 0.0
    assert stuck.why.startswith("The driver does not answer, these numbers are old: no answer for ")
    assert asleep == sound.gpus[0]  # the other one is read as ever


def test_a_gpu_that_never_answered_is_there_without_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hang: Hang
) -> None:
    sampler, files = machine("radeon-780m-small", tmp_path)
    ask_all(sampler._finder.patients())
    files.faults = {VRAM: hang}
    monkeypatch.setattr("engine.monitor.patience.FIRST", 0.05)
    (gpu,) = sampler.sample().gpus
    assert (gpu.address, gpu.vram_total, gpu.busy) == ("0000:04:00.0", None, None)
    assert "no answer" in gpu.why
    assert "gpu0.vram" not in sampler.quick()


def test_nvml_that_hangs_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hang: Hang) -> None:
    """The kernel's driver still names the GPUs, in the same order."""
    monkeypatch.setattr("engine.monitor.patience.FIRST", 0.05)
    nvml: list[RecordedNvml] = []
    whole = RecordedNvml.__init__

    def hung(self: RecordedNvml, gpus: list[dict[str, object]]) -> None:
        whole(self, gpus)
        self.hang = hang.released
        nvml.append(self)

    monkeypatch.setattr(RecordedNvml, "__init__", hung)
    sampler, _ = machine("nvidia-discrete", tmp_path)
    (gpu,) = sampler.sample().gpus
    assert (gpu.name, gpu.address, gpu.vram_total) == ("NVIDIA GeForce RTX 4090", "0000:01:00.0", None)
    assert gpu.why.startswith("NVML does not tell anything: no answer for ")
    hang.released.set()
    until = time.monotonic() + LOOSE
    while sampler.sample().gpus[0].vram_total is None and time.monotonic() < until:
        pass
    assert sampler.sample().gpus[0].vram_total == 25757220864


def test_one_that_hangs_is_left_alone_and_the_rest_is_read(hang: Hang) -> None:
    """Whoever comes after it gets another thread."""
    first = Patient(lambda: 1)
    stuck = Patient(lambda: hang(b"2"), first=0.05)
    last = Patient(lambda: 3)
    ask_all([first, stuck, last])
    assert (first.answer().value, stuck.answer().value, last.answer().value) == (1, None, 3)
    assert stuck.stuck
    before = readers()
    for _ in range(5):
        ask_all([stuck, last])
    assert readers() == before
    hang.released.set()
    until = time.monotonic() + LOOSE
    while stuck.stuck and time.monotonic() < until:
        time.sleep(0.01)
    assert stuck.answer().value == b"2"


def test_a_reader_s_own_fault_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """It costs its numbers, never the sample."""
    found = [1, 0, 0, 4]
    patient = Patient(lambda: 12 // found.pop(0), "the twelfth part")
    for value, why in ((12, ""), (12, "it failed with ZeroDivisionError"), (12, ""), (3, "")):
        ask_all([patient])
        assert patient.answer().value == value
        assert patient.answer().why.startswith(why)
    assert len(caplog.records) == 1
