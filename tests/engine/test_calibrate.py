"""Trials of a device: the counter that moves names the pool, and a GPU that kills its child is not used."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from engine import calibrating, trial
from engine.devices import Machine, kfd_arch, remedy_for, tried
from engine.monitor import calibration
from engine.monitor.amdgpu import AmdReader
from engine.monitor.cards import Finder
from engine.monitor.computing import Calibration
from engine.monitor.pools import free, pools
from engine.protocol.specs import DeviceFinding, MonitorSample
from engine.trial import MOVED, Outcome, Trial
from engine.workers import gpu_room
from tests.support.machine_tree import Recorded, machine, recorded

HEAD = """
import json, os, pathlib, signal, sys, time
def say(stage, **facts): print(json.dumps({"stage": stage} | facts), flush=True)
def move(path, size):
    path = pathlib.Path(path).resolve()
    path.write_text(str(int(path.read_text()) + size) + "\\n")
SEEN = {"name": "AMD Radeon Graphics", "arch": "gfx1103", "address": "0000:04:00.0"}
"""
ALIVE = "say('seen', **SEEN); say('ready')\n"


def moving(path: Path, rounds: int = 99) -> str:
    """A child whose memory shows in one counter, for so many rounds."""
    return ALIVE + (
        f"rounds = 0\n"
        f"while sys.stdin.readline():\n"
        f"    rounds += 1\n"
        f"    size = (256 << 20) if rounds <= {rounds} else 0\n"
        f"    move({str(path)!r}, size); say('held'); sys.stdin.readline()\n"
        f"    move({str(path)!r}, -size); say('freed')\n"
    )


@pytest.fixture(autouse=True)
def no_shell_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in calibration.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(calibration, "_kept", [])


@pytest.fixture
def radeon(tmp_path: Path) -> Recorded:
    return recorded("radeon-780m-small", tmp_path)


def try_it(code: str, files: Recorded, *, seconds: float = 30.0, device: str = "cuda:0") -> Outcome:
    """One trial of a recorded machine, with a child that does what `code` says."""
    argv = [sys.executable, "-I", "-c", HEAD + code]
    reader = AmdReader(files, Finder(files)).read
    return Trial(device, (reader,), argv=argv, ram=lambda: 8 << 30, seconds=seconds).run()


def test_the_cpu_is_measured_to_hold_its_memory_in_ram() -> None:
    (found,) = calibrating.calibrate((), (), devices=("cpu",))
    assert (found.device, found.kind, found.usable) == ("cpu", "ram", True)
    assert found.moved >= MOVED
    assert calibration.computing(()).found == (found,)
    sample = MonitorSample(ram_total=1 << 34, ram_available=1 << 33)
    assert pools(sample, calibration.computing(()))[0].basis == "measured"


@pytest.mark.parametrize("kind", ["gtt", "vram"])
def test_the_counter_that_moves_names_the_pool_and_the_gpu(kind: str, radeon: Recorded) -> None:
    path = radeon.folder / f"sys/class/drm/card0/device/mem_info_{kind}_used"
    found, conclusive, _ = try_it(moving(path), radeon)
    assert conclusive
    assert (found.kind, found.moved, found.usable) == (kind, 256 << 20, True)
    assert (found.gpu, found.address) == ("AMD Radeon 780M", "0000:04:00.0")


def test_what_moved_once_was_another_program(radeon: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "CALM_SECONDS", 0.0)
    monkeypatch.setattr(trial, "FOLLOWS_SECONDS", 0.0)
    path = radeon.folder / "sys/class/drm/card0/device/mem_info_gtt_used"
    found, conclusive, _ = try_it(moving(path, rounds=1), radeon)
    assert conclusive
    assert (found.kind, found.usable) == (None, True)
    assert "no counter moved" in found.why


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("say('seen', **SEEN); os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        (ALIVE + "print('no Tensile library', file=sys.stderr); os.abort()", "SIGABRT): no Tensile library"),
        (
            "say('seen', **SEEN); say('failed', error='HIP error: invalid device function\\nmore')",
            "invalid device function",
        ),
        ("say('seen', **SEEN); time.sleep(60)", "did not answer"),
    ],
)
def test_a_gpu_that_kills_or_refuses_is_not_used_and_names_what_may_help(
    code: str, why: str, radeon: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.trial.remedy_for", lambda arch: f"for {arch}")
    found, conclusive, _ = try_it(code, radeon, seconds=0.7 if "sleep" in code else 30.0)
    assert conclusive
    assert not found.usable
    assert why in found.why
    assert found.remedy == ("for gfx1103" if "SEEN" in code or ALIVE in code else "for ")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("say('seen'); say('failed', error='out of memory', memory=True)", "no room"),
        ("say('failed', error='No HIP GPUs are available')", "torch does not reach it: No HIP GPUs"),
        ("time.sleep(60)", "too long to start"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "by signal 9"),
        ("sys.exit(1)", "with status 1"),
        ("sys.stdout.buffer.write(bytes(range(256)) * 40000)", "with status 0"),
        ("print('null'); print('{}'); print('[' * 10000); print(json.dumps({'stage': 5}))", "with status 0"),
    ],
)
def test_what_says_nothing_of_the_gpu_is_assumed_and_tried_again(
    code: str, why: str, radeon: Recorded
) -> None:
    found, conclusive, _ = try_it(code, radeon, seconds=0.7 if "sleep" in code else 30.0)
    assert not conclusive
    assert (found.kind, found.usable) == (None, True)
    assert why in found.why


def test_a_child_that_hangs_is_ended_with_all_that_it_started(radeon: Recorded, tmp_path: Path) -> None:
    note = tmp_path / "pids"
    code = (
        "import subprocess\n"
        "other = subprocess.Popen([sys.executable, '-I', '-c', 'import time; time.sleep(60)'])\n"
        f"pathlib.Path({str(note)!r}).write_text(f'{{os.getpid()}} {{other.pid}}')\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)\n"
    )
    assert not try_it("say('started')\n" + code, radeon, seconds=1.0)[0].usable
    deadline = time.monotonic() + 10
    for pid in map(int, note.read_text().split()):
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.02)


# --- at the engine's start ------------------------------------------------------------------


def test_an_engine_whose_torch_is_for_the_cpu_starts_no_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "makers", lambda: ())
    monkeypatch.setattr(calibrating, "gpu_readers", lambda: pytest.fail("nothing is looked at"))
    assert calibrating.at_start() == ()


def test_what_is_known_of_the_gpus_is_looked_up_before_torch_is_imported() -> None:
    code = "import sys, engine.calibrating as c; c.at_start(); print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


@pytest.fixture
def rocm(monkeypatch: pytest.MonkeyPatch, radeon: Recorded) -> Callable[[str], list[str]]:
    """This machine as one with a Radeon and torch for ROCm; called with what a child does."""
    monkeypatch.setattr(calibration, "makers", lambda: ("amd",))
    monkeypatch.setattr(calibrating, "gpu_readers", lambda: (AmdReader(radeon, Finder(radeon)).read,))
    (radeon.folder / "kfd").touch()
    monkeypatch.setattr(calibrating, "Machine", lambda: Machine(kfd=radeon.folder / "kfd", apple=False))
    tries: list[str] = []

    def children(code: str) -> list[str]:
        def command(device: str) -> list[str]:
            tries.append(device)
            return [sys.executable, "-I", "-c", HEAD + code]

        monkeypatch.setattr(trial, "command", command)
        return tries

    return children


def test_a_gpu_is_tried_once_and_remembered(rocm: Callable[[str], list[str]], radeon: Recorded) -> None:
    tries = rocm(moving(radeon.folder / "sys/class/drm/card0/device/mem_info_gtt_used"))
    (first,) = calibrating.at_start()
    assert (first.kind, calibrating.at_start()) == ("gtt", (first,))
    assert tries == ["cuda:0"]
    assert "HIP_VISIBLE_DEVICES" not in os.environ


def test_a_gpu_that_kills_is_hidden_from_torch_and_the_engine_says_why(
    rocm: Callable[[str], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "")
    monkeypatch.delenv("HIP_VISIBLE_DEVICES")  # so that it is put back afterwards
    tries = rocm("say('seen', **SEEN); os.abort()")
    found = calibrating.at_start()
    assert os.environ["HIP_VISIBLE_DEVICES"] == calibrating.HIDDEN
    gpus = calibrating.read(calibrating.gpu_readers())
    sample = MonitorSample(ram_total=32 << 30, ram_available=20 << 30, gpus=tuple(gpus))
    assert calibration.computing(gpus).found == found  # though the variable is another one now
    assert pools(sample, calibration.computing(gpus))[0].id == "ram"
    monkeypatch.delenv("HIP_VISIBLE_DEVICES")  # as at the next start
    assert calibrating.at_start() == found
    assert tries == ["cuda:0"]
    monkeypatch.setattr(calibrating, "AGAIN_SECONDS", -1.0)
    monkeypatch.delenv("HIP_VISIBLE_DEVICES")
    assert not calibrating.at_start()[0].usable
    assert tries == ["cuda:0"] * 2
    judged = DeviceFinding("AMD Radeon 780M", "amd", why="HIP_VISIBLE_DEVICES hides it")
    (told,) = tried((judged,), found, "amd")
    assert (told.usable, "SIGABRT" in told.why) == (False, True)
    assert "HSA_OVERRIDE_GFX_VERSION" in told.remedy


def test_of_several_gpus_only_those_that_kill_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "makers", lambda: ("nvidia",))
    found = [Calibration(f"cuda:{number}", usable=number != 1) for number in range(3)]
    for before, after in (("", "0,2"), ("2,0,1", "2,1"), ("5", "5"), ("GPU-a, GPU-b", "GPU-a")):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
        calibrating.hide(found)
        assert os.environ["CUDA_VISIBLE_DEVICES"] == after


def test_a_trial_that_worked_knows_better_than_a_list_of_kernels() -> None:
    lacking = DeviceFinding("780M", "amd", why="The installed torch has no kernels for gfx1103")
    other = DeviceFinding("GeForce", "nvidia", why="The installed torch is built for GPUs of AMD")
    works = Calibration("cuda:0", "780M", kind="gtt", moved=MOVED)
    assert [f.usable for f in tried((other, lacking), (works,), "amd")] == [True, False]
    assert tried((lacking,), (Calibration("cpu", kind="ram"),), "amd") == (lacking,)


@pytest.mark.parametrize(("name", "pool"), [("radeon-780m-small", "GTT"), ("radeon-780m-large", "VRAM")])
def test_room_on_a_gpu_that_shares_the_ram_is_its_main_pools(
    name: str, pool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`mem_get_info` has told 120 GiB of 62 there, and elsewhere the carve-out alone."""
    sampler, _ = machine(name, tmp_path)
    sample = sampler.sample()
    told = SimpleNamespace(is_integrated=True, name="AMD Radeon Graphics")
    monkeypatch.setattr(torch.version, "hip", "7.2")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: told)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 300 << 20)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 200 << 20)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: pytest.fail("it is not to be believed"))
    monkeypatch.setattr(gpu_room, "_sampler", lambda: sampler)
    facts = gpu_room.gpu_room(torch.device("cuda"))
    (main,) = (each for each in pools(sample) if each.main)
    room = free(main)
    assert room is not None
    assert (facts.pool, facts.name) == (pool, "AMD Radeon 780M")
    assert facts.free == room + (100 << 20)


def test_the_remedy_goes_by_the_kernels_word_and_by_what_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for node, version in (("0", "0"), ("1", "110003"), ("2", "90012")):
        (tmp_path / node).mkdir()
        (tmp_path / node / "properties").write_text(f"cpu_cores_count 8\ngfx_target_version {version}\n")
    assert kfd_arch(tmp_path) == "gfx1103"
    assert kfd_arch(tmp_path / "missing") == ""
    monkeypatch.setattr("engine.devices.kfd_arch", lambda: "gfx1103")
    assert 'HSA_OVERRIDE_GFX_VERSION = "11.0.0"' in remedy_for("gfx1100")
    monkeypatch.setenv("HSA_OVERRIDE_GFX_VERSION", "11.0.0")
    assert "does not work here" in remedy_for("gfx1100")
    monkeypatch.delenv("HSA_OVERRIDE_GFX_VERSION")
    monkeypatch.setattr("engine.devices.kfd_arch", lambda: "")
    assert "driver" in remedy_for("sm_90")
