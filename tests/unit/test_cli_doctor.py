"""`qwill doctor`: floors with their reasons, GPUs that lie idle, files that others may read, terminals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.api import config_dir, data_dir, specs, store_path
from engine.installed import torch_build
from tui.cli.doctor import devices, packages, places, screen, terminal
from tui.cli.main import DONE, FAILED, main

FLOORS = {floor.name: floor for floor in packages.FLOORS}


@pytest.mark.parametrize(
    ("name", "found", "reason"),
    [
        ("torch", "2.5.1+cu124", "CVE-2025-32434"),
        ("transformers", "5.2.0", "CVE-2026-4372"),
        ("transformers", "4.57.3", "CVE-2026-5241"),
        ("jinja2", "3.1.5", "sandbox"),
    ],
)
def test_a_package_below_its_floor_is_a_problem_with_its_reason(name: str, found: str, reason: str) -> None:
    finding = packages.judged(FLOORS[name], found)
    assert finding.level == "problem"
    assert reason in finding.what
    assert "make setup" in finding.do


def test_a_package_at_its_floor_is_well_and_a_missing_one_is_not() -> None:
    assert packages.judged(FLOORS["torch"], "2.6.0+cpu").level == "ok"
    assert packages.judged(FLOORS["transformers"], "5.3.0").level == "ok"
    assert packages.judged(FLOORS["peft"], None).level == "problem"
    assert all(finding.level == "ok" for finding in packages.check_packages())


def test_versions_compare_as_releases_do() -> None:
    ordered = ["2.6rc1", "2.6", "2.6.1", "2.10", "5.0.0rc3", "5.0.0", "5.23.0"]
    assert sorted(ordered, key=packages.version) == ordered
    assert packages.version("2.13.0+cpu") == packages.version("2.13")


def test_an_idle_gpu_is_a_note_with_the_line_that_helps() -> None:
    idle = specs.DeviceFinding(
        "Radeon 780M", "amd", why="torch is built for the CPU alone", remedy="make setup TORCH=rocm"
    )
    finding = devices.judged(idle, guessed=False)
    assert (finding.level, finding.do) == ("note", "make setup TORCH=rocm")
    assert "Radeon 780M" in finding.what
    used = specs.DeviceFinding("GeForce", "nvidia", usable=True)
    assert devices.judged(used, guessed=False).level == "ok"
    engine = specs.EngineInfo("e", 1, "0.1.0", 0.0, torch="ready", devices=(idle,))
    assert [found.level for found in devices.check_devices(engine)] == ["note"]


@pytest.mark.parametrize(
    ("version", "build"),
    [("2.13.0+cpu", "cpu"), ("2.13.0+cu130", "cuda"), ("2.13.0+rocm7.2", "rocm"), ("2.13.0", "cuda")],
)
def test_the_build_of_torch_is_told_by_its_version(
    monkeypatch: pytest.MonkeyPatch, version: str, build: str
) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda name: version)
    assert torch_build("Linux").build == build


def test_a_file_that_others_can_read_is_a_problem(tmp_path: Path) -> None:
    store = tmp_path / "qwill.db"
    store.write_text("")
    store.chmod(0o644)
    finding = places.private("Chats", store, 0o600)
    assert finding.level == "problem"
    assert finding.do == f"Run: chmod 600 {store}"
    store.chmod(0o600)
    assert places.private("Chats", store, 0o600).level == "ok"


def test_a_disk_is_judged_by_what_is_free(tmp_path: Path) -> None:
    below = tmp_path / "not" / "there" / "yet"
    assert places.space("data", below, least=0).what.endswith(f"({tmp_path})")
    assert places.space("data", tmp_path, least=1 << 62).level == "problem"


def test_the_terminal_is_told_by_its_environment() -> None:
    assert terminal.colours({"TERM": "xterm-kitty", "COLORTERM": "truecolor"}).level == "ok"
    assert "256" in terminal.colours({"TERM": "xterm-256color"}).what
    assert terminal.colours({"TERM": "xterm"}).do == (
        "If your terminal knows 24-bit colour: export COLORTERM=truecolor"
    )
    assert terminal.colours({"TERM": "dumb"}).level == "problem"
    assert terminal.between({}) == []
    around = terminal.between({"TMUX": "/tmp/tmux,1,0", "SSH_TTY": "/dev/pts/1"})
    assert [finding.level for finding in around] == ["note"]


def test_the_screen_is_told_with_what_decided_how_it_is_painted() -> None:
    far = screen.check_screen({"SSH_TTY": "/dev/pts/1"})
    assert "over a network (SSH_TTY is set)" in far[0].what
    inside = screen.check_screen({"TMUX": "/tmp/tmux,1,0"})
    assert inside[0].level == "note"
    assert "--remote" in inside[0].do
    (config_dir() / "settings.toml").write_text('[screen]\nremote = "sometimes"\n')
    assert screen.check_screen({})[0].level == "problem"


def test_where_copied_text_goes_is_told() -> None:
    assert "never says" in screen.copied({}).what
    assert screen.copied({"STY": "1"}).level == "note"
    assert "by xclip" in screen.copied({"DISPLAY": ":0"}, which=lambda name: name).what
    inside = {"TMUX": "x", "SSH_TTY": "/dev/pts/1"}
    assert "tmux's own buffer" in screen.copied(inside, which=lambda name: name, setting="off").what
    assert screen.copied(inside, which=lambda name: name, setting="external").level == "ok"


def test_the_keyboard_protocol_is_told_by_the_answer() -> None:
    assert "kitty" in terminal.keys(b"\x1b[?0u\x1b[?62;c").what
    assert "classic" in terminal.keys(b"\x1b[?62;22c").what
    assert terminal.keys(b"").level == "note"


def test_a_sound_machine_is_done_and_a_readable_store_is_not(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 says that there is a problem; no engine is started for it."""
    assert main(["doctor", "--json"]) == DONE
    said = json.loads(capsys.readouterr().out)
    assert said["ok"]
    assert {"area", "level", "what", "do"} == set(said["findings"][0])
    assert data_dir().stat().st_mode & 0o777 == 0o700
    store_path().write_text("")
    store_path().chmod(0o644)
    assert main(["doctor"]) == FAILED
    out = capsys.readouterr().out
    assert "PROBLEM" in out
    assert "chmod 600" in out
    assert not (home / "state" / "qwill" / "engine.log").exists()
