"""GPUs that torch cannot use: each is named with its reason and with the line that fixes it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.devices import Machine, TorchFacts, judge
from engine.protocol.specs import DeviceFinding, GpuSample

RADEON = GpuSample("AMD Radeon 780M", "amd", vram_total=4 << 30, gtt_total=12 << 30)
GEFORCE = GpuSample("NVIDIA GeForce RTX 4090", "nvidia", vram_total=24 << 30)


def machine(root: Path, **devices: dict[str, str]) -> Machine:
    """A tree of PCI devices; without a driver, without a compute device."""
    for name, files in devices.items():
        folder = root / "pci" / name
        folder.mkdir(parents=True)
        for file, text in files.items():
            (folder / file).write_text(text + "\n")
    return Machine(root / "pci", root / "kfd", root / "version", apple=False)


@pytest.fixture(autouse=True)
def nothing_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"):
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize(
    ("gpu", "build", "why", "remedy"),
    [
        (RADEON, "cpu", "built for the CPU alone", "make setup TORCH=rocm"),
        (RADEON, "cuda", "built for GPUs of NVIDIA", "make setup TORCH=rocm"),
        (GEFORCE, "cpu", "built for the CPU alone", "make setup TORCH=cuda"),
        (GEFORCE, "rocm", "built for GPUs of AMD", "make setup TORCH=cuda"),
    ],
)
def test_another_build_of_torch_is_the_remedy(
    gpu: GpuSample, build: str, why: str, remedy: str, tmp_path: Path
) -> None:
    (found,) = judge([gpu], TorchFacts(build), machine(tmp_path))  # type: ignore[arg-type]
    assert (found.name, found.usable) == (gpu.name, False)
    assert why in found.why
    assert found.remedy == remedy


def test_a_gpu_that_torch_sees_is_usable(tmp_path: Path) -> None:
    found = judge([GEFORCE], TorchFacts("cuda", available=True), machine(tmp_path))
    assert found == (DeviceFinding(GEFORCE.name, "nvidia", usable=True),)


def test_beside_a_gpu_in_use_another_makers_gpu_asks_for_nothing(tmp_path: Path) -> None:
    used, idle = judge([RADEON, GEFORCE], TorchFacts("cuda", available=True), machine(tmp_path))
    assert (used.name, used.usable) == (GEFORCE.name, True)
    assert (idle.name, idle.usable, idle.remedy) == (RADEON.name, False, "")


def test_a_card_without_a_driver_is_found_on_the_bus(tmp_path: Path) -> None:
    here = machine(
        tmp_path,
        a={"vendor": "0x10de", "device": "0x2684", "class": "0x030000"},
        audio={"vendor": "0x10de", "device": "0x22ba", "class": "0x040300"},
        intel={"vendor": "0x8086", "device": "0x4680", "class": "0x030000"},
    )
    (found,) = judge([], TorchFacts("cuda"), here)
    assert found.name == "NVIDIA GPU 2684"
    assert found.why == "NVIDIA's driver is not loaded"


def test_a_card_that_its_driver_tells_of_is_not_counted_twice(tmp_path: Path) -> None:
    here = machine(tmp_path, a={"vendor": "0x1002", "device": "0x15bf", "class": "0x038000"})
    assert [found.name for found in judge([RADEON], TorchFacts("cpu"), here)] == [RADEON.name]


def test_no_gpu_is_no_finding(tmp_path: Path) -> None:
    assert judge([], TorchFacts("cuda"), machine(tmp_path)) == ()


def test_an_old_nvidia_driver_and_a_hidden_card_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = machine(tmp_path)
    here.nvidia_driver.write_text("NVRM version")
    old = "The NVIDIA driver on your system is too old (found version 11040)"
    (found,) = judge([GEFORCE], TorchFacts("cuda", error=old), here)
    assert found.remedy == "Update NVIDIA's driver"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    (found,) = judge([GEFORCE], TorchFacts("cuda", error="No CUDA GPUs are available"), here)
    assert found.remedy == "Unset CUDA_VISIBLE_DEVICES"


def test_a_compute_device_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = machine(tmp_path)
    here.kfd.touch()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    (found,) = judge([RADEON], TorchFacts("rocm"), here)
    assert "may not open" in found.why
    assert "usermod -aG render" in found.remedy


def test_an_amd_gpu_without_the_drivers_compute_part(tmp_path: Path) -> None:
    (found,) = judge([RADEON], TorchFacts("rocm"), machine(tmp_path))
    assert "is missing" in found.why


@pytest.mark.parametrize(
    ("lacking", "words"), [("gfx1103", "=11.0.0"), ("gfx1036", "=10.3.0"), ("gfx803", "TORCH=cpu")]
)
def test_a_build_without_kernels_for_the_gpu(lacking: str, words: str, tmp_path: Path) -> None:
    facts = TorchFacts("rocm", available=True, lacking=lacking)
    (found,) = judge([RADEON], facts, machine(tmp_path))
    assert not found.usable
    assert lacking in found.why
    assert words in found.remedy


def test_apple(tmp_path: Path) -> None:
    here = Machine(tmp_path, tmp_path, tmp_path, apple=True)
    assert judge([], TorchFacts("cpu", metal=True), here)[0].usable
    assert judge([], TorchFacts("cpu"), here)[0].remedy


@pytest.mark.engine
def test_which_cuda_kernels_run_on_which_card() -> None:
    from engine.workers.devices import covers

    known = ["sm_75", "sm_80", "sm_86", "sm_90", "compute_90"]
    assert covers(known, 8, 9)
    assert covers(known, 12, 0)
    assert not covers(known, 6, 1)
    assert not covers(["sm_86"], 8, 0)
    assert covers(["sm_90a"], 9, 0)


@pytest.mark.engine
def test_the_facts_of_the_torch_that_is_installed() -> None:
    """The dtype of a load, and no GPU where the machine has none."""
    from engine.workers.devices import engine_facts, findings

    assert engine_facts()["load_dtype"] in ("float32", "bfloat16", "float16")
    assert findings([], Machine(Path("/nowhere"), apple=False)) == ()
