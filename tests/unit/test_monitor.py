"""The monitor: real numbers of this machine, and GPUs as trees of sysfs files."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.monitor import Sampler
from engine.monitor.amdgpu import AmdReader
from engine.monitor.nvidia import NvidiaReader
from engine.protocol.specs import GpuSample

APU = {
    "vendor": "0x1002",
    "device": "0x15bf",
    "revision": "0xc1",
    "mem_info_vram_total": "536870912",
    "mem_info_vram_used": "482959360",
    "mem_info_gtt_total": "16360796160",
    "mem_info_gtt_used": "975273984",
    "gpu_busy_percent": "37",
}


def card(root: Path, number: int, files: dict[str, str]) -> Path:
    device = root / f"card{number}" / "device"
    device.mkdir(parents=True)
    for name, text in files.items():
        (device / name).write_text(text + "\n")
    return device


def amd(root: Path, names: Path | None = None) -> list[GpuSample]:
    return AmdReader(root, names or root / "absent").read()


def test_780m(tmp_path: Path) -> None:
    """An APU: the small carve-out and the RAM lent to the GPU are two pools, never one sum."""
    names = tmp_path / "amdgpu.ids"
    names.write_text("# comment\n1.0.0\n15BF,\tC1,\tAMD Radeon 780M\n15BF,\tC4,\tother\n")
    root = tmp_path / "drm"
    card(root, 0, APU)
    (root / "card0-HDMI-A-1").mkdir()
    (root / "renderD128").mkdir()
    (root / "version").write_text("drm 1.1.0")
    assert amd(root, names) == [
        GpuSample(
            "AMD Radeon 780M",
            "amd",
            vram_total=536870912,
            vram_used=482959360,
            gtt_total=16360796160,
            gtt_used=975273984,
            busy=0.37,
        )
    ]


def test_two_gpus_in_order_of_their_number(tmp_path: Path) -> None:
    card(tmp_path, 10, APU | {"product_name": "Navi 31"})
    card(tmp_path, 2, APU)
    card(tmp_path, 3, {"vendor": "0x8086", "device": "0x4680"})
    assert [gpu.name for gpu in amd(tmp_path)] == ["AMD GPU 15bf", "Navi 31"]


def test_card1_only(tmp_path: Path) -> None:
    card(tmp_path, 1, APU)
    assert len(amd(tmp_path)) == 1


def test_files_that_fail_or_hold_garbage_are_unknown(tmp_path: Path) -> None:
    """A file that cannot be read (EBUSY of a suspended GPU), garbage, an impossible load: None, and why."""
    device = card(tmp_path, 0, APU | {"mem_info_gtt_used": "\x00\xffhello", "gpu_busy_percent": "250"})
    (device / "mem_info_vram_used").unlink()
    (device / "mem_info_vram_used").mkdir()
    (gpu,) = amd(tmp_path)
    assert (gpu.vram_used, gpu.gtt_used, gpu.busy) == (None, None, None)
    assert gpu.vram_total == 536870912
    assert "vram used, gtt used, load" in gpu.why


@pytest.mark.parametrize("text", ["-1", "", " ", "1e3", "٣", "0x10"])
def test_a_counter_takes_plain_digits_only(tmp_path: Path, text: str) -> None:
    card(tmp_path, 0, APU | {"mem_info_gtt_used": text})
    assert amd(tmp_path)[0].gtt_used is None


def test_no_gpu_at_all(tmp_path: Path) -> None:
    assert amd(tmp_path) == []
    assert amd(tmp_path / "absent") == []


class NvmlError(Exception):
    """What a stand-in for NVML raises."""


def refuse(*_: object) -> None:
    raise NvmlError("Not Supported")


def nvml(**changes: object) -> SimpleNamespace:
    """The few calls of NVML that the reader makes, as one H200 answers them."""
    calls = {
        "NVMLError": NvmlError,
        "nvmlInit": lambda: None,
        "nvmlDeviceGetCount": lambda: 1,
        "nvmlDeviceGetHandleByIndex": lambda number: number,
        "nvmlDeviceGetName": lambda handle: "NVIDIA H200",
        "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(total=150_754_820_096, used=1 << 30),
        "nvmlDeviceGetUtilizationRates": lambda handle: SimpleNamespace(gpu=50),
    }
    return SimpleNamespace(**(calls | changes))


def test_nvidia_numbers(tmp_path: Path) -> None:
    assert NvidiaReader(nvml()).read() == [
        GpuSample("NVIDIA H200", "nvidia", vram_total=150_754_820_096, vram_used=1 << 30, busy=0.5)
    ]


def test_nvidia_counters_that_a_unified_gpu_refuses(tmp_path: Path) -> None:
    (gpu,) = NvidiaReader(nvml(nvmlDeviceGetMemoryInfo=refuse)).read()
    assert (gpu.vram_total, gpu.vram_used, gpu.busy) == (None, None, 0.5)
    assert "Not Supported" in gpu.why


@pytest.mark.parametrize(
    "changes", [{"nvmlInit": refuse}, {"nvmlDeviceGetCount": refuse}, {"nvmlDeviceGetHandleByIndex": refuse}]
)
def test_nvidia_never_raises(tmp_path: Path, changes: dict) -> None:
    driver = tmp_path / "version"
    driver.touch()
    (gpu,) = NvidiaReader(nvml(**changes), driver).read()
    assert "Not Supported" in gpu.why


def test_no_nvidia_driver_means_no_gpu(tmp_path: Path) -> None:
    assert NvidiaReader(nvml(nvmlInit=refuse), tmp_path / "absent").read() == []


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
    assert all(gpu.kind in ("nvidia", "amd") for gpu in Sampler().sample().gpus)


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
