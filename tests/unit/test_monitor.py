"""The monitor on this very machine: real numbers, and what single files of a driver may hold."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from engine.monitor import Sampler
from engine.monitor.amdgpu import AmdReader
from engine.monitor.files import Files
from engine.monitor.nvidia import NvidiaReader
from engine.monitor.patience import Patient, ask_all
from engine.monitor.processes import Processes
from engine.protocol.specs import GpuSample, MonitorSample
from tests.support.machine_tree import NvmlError, RecordedNvml, recorded

CARD = "sys/class/drm/card0/device"


def amd(root: Path) -> list[GpuSample]:
    return AmdReader(Files(root)).read()


def test_cards_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """Ten after two; other makers' cards, connectors and cards under another driver are none of AMD's."""
    for number, vendor in ((10, "0x1002"), (2, "0x1002"), (3, "0x8086"), (4, "0x1002")):
        device = tmp_path / f"sys/class/drm/card{number}/device"
        device.mkdir(parents=True)
        (device / "vendor").write_text(vendor)
        (device / "product_name").write_text(f"number {number}")
    (tmp_path / "sys/class/drm/card4/device/driver").symlink_to("../../../bus/pci/drivers/vfio-pci")
    (tmp_path / "sys/class/drm/card2-DP-1").mkdir()
    assert [gpu.name for gpu in amd(tmp_path)] == ["number 2", "number 10"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("-1", "negative"),
        ("", "no number"),
        ("1e3", "no number"),
        ("٣", "no number"),
        ("0x10", "no number"),
        ("\x00\xffhello", "no number"),
        ("18446744073709551615", "out of range"),
        ("9" * 400, "out of range"),
    ],
)
def test_a_counter_takes_plain_digits_within_reason(tmp_path: Path, text: str, why: str) -> None:
    files = recorded("radeon-780m-small", tmp_path)
    (tmp_path / CARD / "mem_info_gtt_used").write_text(text)
    (gpu,) = AmdReader(files).read()
    assert gpu.gtt_used is None
    assert gpu.gtt_total == 16360796160
    assert gpu.why == f"The amdgpu driver does not tell: GTT used ({why})"


def test_a_load_above_all_of_it_is_none(tmp_path: Path) -> None:
    files = recorded("radeon-780m-small", tmp_path)
    (tmp_path / CARD / "gpu_busy_percent").write_text("250\n")
    (gpu,) = AmdReader(files).read()
    assert (gpu.busy, gpu.why) == (None, "The amdgpu driver does not tell: load (out of range)")


def test_no_gpu_at_all(tmp_path: Path) -> None:
    assert amd(tmp_path) == []
    assert amd(tmp_path / "absent") == []


def test_a_card_that_is_plugged_in_later_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.monitor.cards.LOOK_EVERY", 0.0)
    files = recorded("no-gpu", tmp_path)
    reader = AmdReader(files)
    assert reader.read() == []
    device = tmp_path / CARD
    device.mkdir(parents=True)
    (device / "vendor").write_text("0x1002\n")
    assert len(reader.read()) == 1
    (device / "vendor").unlink()
    assert reader.read() == []


def refuse(*_: object, **__: object) -> None:
    raise NvmlError("Not Supported")


H200 = {"name": "NVIDIA H200", "memory_v2": [150754820096, 149680000000, 600000000], "rates": [50, 10]}


@pytest.mark.parametrize(
    "call", ["nvmlInit", "nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex", "nvmlDeviceGetName"]
)
def test_nvml_may_refuse_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    files = recorded("nvidia-discrete", tmp_path)
    nvml = RecordedNvml([H200])
    monkeypatch.setattr(nvml, call, refuse)
    (gpu,) = NvidiaReader(nvml, files=files).read()
    assert "not supported" in gpu.why.lower()


def test_a_discrete_gpu_whose_memory_is_not_told_is_no_shared_one(tmp_path: Path) -> None:
    """It fell off the bus, say: nothing is known of it, least of all that it works in RAM."""
    gpu = {"name": "NVIDIA H200", "rates": "GPU is lost", "memory_v2": "GPU is lost", "memory": "GPU is lost"}
    (found,) = NvidiaReader(RecordedNvml([gpu]), files=recorded("nvidia-discrete", tmp_path)).read()
    assert (found.vram_total, found.vram_used, found.integrated) == (None, None, None)
    assert "memory, load (gpu is lost)" in found.why


def test_numbers_that_nvml_makes_up_for_a_gpu_in_ram_are_not_shown(tmp_path: Path) -> None:
    """Some drivers answer for a GB10, and wrongly."""
    nvml = RecordedNvml([{"name": "NVIDIA GB10", "memory_v2": [1, 1, 0], "rates": [5, 0]}])
    (found,) = NvidiaReader(nvml, files=recorded("gb10", tmp_path)).read()
    assert (found.vram_total, found.vram_used, found.integrated, found.busy) == (None, None, True, 0.05)


def test_without_the_package_the_driver_still_names_its_gpus(tmp_path: Path) -> None:
    reader = NvidiaReader(None, files=recorded("nvidia-discrete", tmp_path))
    reader._nvml = None
    assert reader.read() == [
        GpuSample(
            "NVIDIA GeForce RTX 4090",
            "nvidia",
            address="0000:01:00.0",
            why="Install the package nvidia-ml-py to see its memory",
        )
    ]


def test_no_nvidia_driver_means_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = RecordedNvml([H200])
    monkeypatch.setattr(nvml, "nvmlInit", refuse)
    reader = NvidiaReader(nvml, files=Files(tmp_path))
    assert reader.read() == []
    assert reader.patients() == ()


def test_ram_that_a_container_may_use() -> None:
    """The host's total and the limit stand beside each other; what can be had is the smaller of both."""
    host = MonitorSample(ram_total=64 << 30, ram_available=48 << 30)
    assert host.ram_usable == (64 << 30, 48 << 30)
    within = MonitorSample(ram_total=64 << 30, ram_available=48 << 30, limit=4 << 30, limit_used=1 << 30)
    assert within.ram_usable == (4 << 30, 3 << 30)
    full = MonitorSample(ram_total=64 << 30, ram_available=1 << 30, limit=4 << 30, limit_used=5 << 30)
    assert full.ram_usable == (4 << 30, 0)


def test_sample_of_this_machine() -> None:
    """RAM and cores as the system has them; the engine's share holds this very process."""
    sample = Sampler(readers=[lambda: [GpuSample("x", "amd")]]).sample()
    assert abs(sample.at - time.time()) < 60
    assert sample.ram_total >= sample.ram_available > 0
    assert sample.swap_total >= sample.swap_used >= 0
    assert sample.cores >= 1
    assert 0 <= sample.cpu <= 1
    assert 1 << 20 < sample.engine_rss < sample.ram_total
    assert sample.gpus == (GpuSample("x", "amd"),)


def test_real_readers_of_this_machine_do_not_raise() -> None:
    assert all(gpu.kind in ("nvidia", "amd", "intel", "apple") for gpu in Sampler().sample().gpus)


def test_work_of_the_engine_and_its_children_is_counted() -> None:
    """A busy child shows as CPU and as memory of the engine, and its end does no harm."""
    sampler = Sampler(readers=[])
    alone = sampler.sample().engine_rss
    code = "data = bytearray(80 << 20)\nprint(1, flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        deadline = time.monotonic() + 30
        seen = sampler.sample()
        while seen.engine_cpu < 0.05 and time.monotonic() < deadline:
            seen = sampler.sample()
        child.kill()
    assert seen.engine_cpu >= 0.05
    assert seen.engine_rss > alone + (70 << 20)
    assert sampler.sample().engine_rss < seen.engine_rss


def test_a_process_that_is_gone_is_zero() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    sampler = Sampler(readers=[], pid=child.pid)
    assert sampler.sample().engine_rss > 0
    child.communicate(b"\n")
    assert sampler.sample().engine_rss == 0
    assert os.getpid() != child.pid


def test_children_are_found_on_a_kernel_that_does_not_list_them(tmp_path: Path) -> None:
    """By their parents, all the way down; strangers are none of ours."""
    files = recorded("no-gpu", tmp_path)
    (tmp_path / "proc/4242/task/4242/children").unlink()
    parent = (tmp_path / "proc/4242/stat").read_text()
    for pid, of in ((4300, 4243), (4301, 1)):
        (tmp_path / f"proc/{pid}").mkdir()
        (tmp_path / f"proc/{pid}/stat").write_text(
            parent.replace("4242 (", f"{pid} (").replace("S 4240", f"S {of}")
        )
    assert Processes(files, 4242).pids == (4242, 4243, 4300)


def test_the_family_of_a_process_is_what_psutil_says() -> None:
    """A child and its own child, seen from here."""
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        family = Processes(Files(), child.pid)
        below = [each.pid for each in psutil.Process(child.pid).children(recursive=True)]
        assert len(below) == 1
        assert family.pids == (child.pid, *below) == family._family_by_parents()
        child.communicate(b"\n")


def test_a_forked_child_reads_with_threads_of_its_own() -> None:
    ask_all([Patient(lambda: 1)])
    child = os.fork()
    if not child:
        patient = Patient(lambda: 2, first=60.0)
        ask_all([patient])
        os._exit(0 if patient.answer().value == 2 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
