"""systemd: what logging out ends, the engine's own scope, the unit that brings it back after a reboot.

No user manager runs where these tests do, so the programs are stand-ins that write down what they were asked;
only `systemd-analyze verify` is the real one.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import boot_unit, daemon, systemd
from engine.api import EngineError, connect, lock_holder, stop_engine
from tests.support.deep import deep
from tests.support.stubs import Stubs
from tui.cli.doctor import logout
from tui.cli.main import main

SESSION = "/user.slice/user-1000.slice/session-7.scope"
MANAGER = "/user.slice/user-1000.slice/user@1000.service/app.slice/vte-spawn-1.scope"
SERVICE = "/system.slice/cron.service"
BECOME = 'while [ "$1" != "--" ]; do shift; done; shift; exec "$@"'
"""What `systemd-run --scope` does in the end."""
OLD = 'case "$*" in *OOMPolicy*) echo "Unknown assignment: OOMPolicy=continue" >&2; exit 1;; esac\n' + BECOME


class Machine:
    """A machine with systemd, as far as the stubs play it."""

    def __init__(self, home: Path, stubs: Stubs, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stubs = stubs
        self._home = home
        self._patch = monkeypatch
        monkeypatch.setattr(systemd, "LINGER", home / "linger")
        monkeypatch.setenv("USER", "ada")
        monkeypatch.setenv("LOGNAME", "ada")

    def is_(self, group: str, *, kills: str = "no", lingers: bool = False, manager: bool = True) -> None:
        """`kills`: yes, no, or `excluded`, where this user is left out."""
        self._patch.setattr(systemd, "cgroup_of", lambda pid=None: group)
        (self._home / "linger").mkdir(exist_ok=True)
        if lingers:
            (self._home / "linger" / "ada").touch()
        excluded = '2 "root" "ada"' if kills == "excluded" else '1 "root"'
        value = "false" if kills == "no" else "true"
        self.stubs.add("busctl", f"echo 'b {value}'; echo 'as {excluded}'; echo 'as 0'")
        (self._home / "run" / "systemd").mkdir(parents=True, exist_ok=True)
        self._patch.setenv("XDG_RUNTIME_DIR", str(self._home / "run"))
        self.stubs.add("systemctl", "echo degraded; exit 1" if manager else "echo offline; exit 1")


@pytest.fixture
def machine(home: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(home, Stubs(home, monkeypatch), monkeypatch)


@pytest.fixture
def no_engine_left(home: Path) -> Iterator[None]:
    yield
    stop_engine(seconds=3)


@pytest.mark.parametrize(
    ("group", "kills", "lingers", "ends", "scoped"),
    [
        (SESSION, "no", False, False, False),
        (SESSION, "no", True, False, False),  # a scope would be no worse, and no better
        (SESSION, "yes", False, True, True),  # the scope lives as long as another login does
        (SESSION, "yes", True, False, True),
        (SESSION, "excluded", False, False, False),
        (MANAGER, "no", False, True, False),  # a terminal of the desktop
        (MANAGER, "yes", True, False, False),
        (SERVICE, "yes", False, None, False),
    ],
)
def test_what_logging_out_ends_and_where_a_scope_helps(
    machine: Machine, group: str, kills: str, lingers: bool, ends: bool | None, scoped: bool
) -> None:
    machine.is_(group, kills=kills, lingers=lingers)
    machine.stubs.add("systemd-run", BECOME)
    found = systemd.at_logout()
    assert (found.ends if found else None) is ends
    assert bool(systemd.scopes()) is scoped


def test_without_a_manager_there_is_no_scope_and_lingering_alone_does_not_help(machine: Machine) -> None:
    machine.is_(SESSION, kills="yes", lingers=True, manager=False)
    machine.stubs.add("systemd-run", BECOME)
    assert systemd.scopes() == []
    found = systemd.at_logout()
    assert found is not None
    assert found.ends


async def test_an_engine_gets_a_scope_where_its_login_would_take_it_along(
    machine: Machine, no_engine_left: None
) -> None:
    machine.is_(SESSION, kills="yes", lingers=True)
    machine.stubs.add("systemd-run", OLD)  # systemd 252 and older refuse the policy: without it then
    parent = daemon.start_engine()
    tries = machine.stubs.calls("systemd-run")
    assert ["OOMPolicy=continue" in each for each in tries] == [True, False]
    for each in tries:
        assert each.startswith(
            "systemd-run --user --scope --quiet --collect --no-ask-password --unit=qwill-engine-"
        )
        assert each.endswith("-m engine.daemon supervise")
    client = await connect(started=parent)
    assert daemon.alive(parent)  # systemd-run became the engine's parent: the pid is the same
    await client.close()


@deep
async def test_where_systemd_run_fails_the_engine_starts_as_without_it(
    machine: Machine, no_engine_left: None
) -> None:
    machine.is_(SESSION, kills="yes")
    machine.stubs.add("systemd-run", 'echo "Failed to start transient scope unit" >&2; exit 1')
    client = await connect()
    assert len(machine.stubs.calls("systemd-run")) == 2
    await client.close()


@pytest.mark.parametrize(
    ("group", "kills", "lingers", "level", "words"),
    [
        (SESSION, "no", False, "ok", "KillUserProcesses=no"),
        (SESSION, "yes", False, "note", "KillUserProcesses=yes"),
        (SESSION, "yes", True, "ok", "you linger"),
        (MANAGER, "no", False, "note", "your own systemd"),
    ],
)
def test_doctor_says_when_lingering_is_needed_and_why(
    machine: Machine, group: str, kills: str, lingers: bool, level: str, words: str
) -> None:
    machine.is_(group, kills=kills, lingers=lingers)
    (found,) = logout.check_logout()
    assert (found.level, words in found.what) == (level, True)
    assert ("loginctl enable-linger" in found.do) is (level == "note")


def test_the_unit_is_written_enabled_and_taken_away_again(machine: Machine) -> None:
    machine.is_(SESSION)
    machine.stubs.add("systemctl", 'case "$*" in *is-system-running*) echo running;; esac')
    dry = boot_unit.install_unit(dry_run=True)
    assert not dry.done
    assert not boot_unit.unit_path().exists()
    assert not any("enable" in call for call in machine.stubs.calls())

    done = boot_unit.install_unit()
    assert boot_unit.unit_path().read_text() == done.text == dry.text
    assert list(done.commands) == ["systemctl --user daemon-reload", "systemctl --user enable qwill.service"]
    assert machine.stubs.calls("systemctl")[-2:] == list(done.commands)
    assert "enable-linger" in done.remedy
    assert boot_unit.install_unit().found

    gone = boot_unit.remove_unit()
    assert gone.done
    assert not boot_unit.unit_path().exists()
    assert machine.stubs.calls("systemctl")[-2:] == list(gone.commands)
    assert not boot_unit.remove_unit().done


def test_without_a_manager_the_next_one_finds_the_unit_enabled(machine: Machine) -> None:
    machine.is_(SESSION, manager=False, lingers=True)
    machine.stubs.add("systemctl", 'case "$*" in *is-system-running*) echo offline; exit 1;; esac')
    done = boot_unit.install_unit()
    wanted = boot_unit.unit_path().parent / "default.target.wants" / "qwill.service"
    assert wanted.resolve() == boot_unit.unit_path().resolve()
    assert (done.enabled, done.commands, done.remedy) == (True, (), "")
    boot_unit.remove_unit()
    assert not wanted.is_symlink()


def test_a_unit_of_ones_own_is_left_alone(machine: Machine) -> None:
    machine.is_(SESSION)
    machine.stubs.add("systemctl", "echo running")
    path = boot_unit.unit_path()
    path.parent.mkdir(parents=True)
    path.write_text("[Service]\nExecStart=/bin/true\n")
    for change in (boot_unit.install_unit, boot_unit.remove_unit):
        with pytest.raises(EngineError) as caught:
            change()
        assert caught.value.info.code == "unit_foreign"
    assert "/bin/true" in path.read_text()


def test_the_command_tells_a_script_what_it_did(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.is_(SESSION)
    machine.stubs.add("systemctl", "echo running")
    assert main(["engine", "install-unit", "--dry-run", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["dry_run"], said["done"], said["path"]) == (True, False, str(boot_unit.unit_path()))
    assert main(["engine", "install-unit"]) == 0
    out = capsys.readouterr().out
    assert "enable-linger" in out
    assert main(["engine", "remove-unit", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["done"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_itself_finds_no_fault_with_the_unit(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder with a space, a percent sign, a quote and a dollar, too."""
    monkeypatch.setenv("XDG_STATE_HOME", str(home / 'a b%n"c$HOME'))
    unit = tmp_path / "qwill.service"
    unit.write_text(boot_unit.unit_text())
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", str(unit)],
        env=os.environ | {"XDG_RUNTIME_DIR": str(home)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_the_unit_starts_is_an_engine_under_its_parent(home: Path) -> None:
    """Its command and its variables alone, as systemd gives them; a SIGTERM to it ends both."""
    text = boot_unit.unit_text()
    (command,) = (line.partition("=")[2] for line in text.splitlines() if line.startswith("ExecStart="))
    given = [line.partition("=")[2] for line in text.splitlines() if line.startswith("Environment=")]
    variables = dict(shlex.split(each)[0].split("=", 1) for each in given)
    assert variables["XDG_STATE_HOME"] == os.environ["XDG_STATE_HOME"]
    bare = {"HOME": str(home), "PATH": "/usr/bin:/bin"} | variables
    started = subprocess.Popen(
        shlex.split(command), env=bare, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while lock_holder() is None:
        assert time.monotonic() < deadline
        assert started.poll() is None
        time.sleep(0.05)
    engine = lock_holder()
    assert engine != started.pid
    while "engine.sock" not in {path.name for path in (home / "state" / "qwill").iterdir()}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    started.send_signal(signal.SIGTERM)
    out, err = started.communicate(timeout=30)
    assert (started.returncode, out, err) == (0, b"", b"")  # what it has to say is in the log
    assert lock_holder() is None
