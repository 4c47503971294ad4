"""A real sshd on loopback, whose users land in a home of their own: another machine, as far as one can tell.

`with box_at(monkeypatch) as box:` starts it and lets `qwill --host box` reach it, by a configuration of
its own (QWILL_SSH). What runs there has its own state, data and config folders; its engine ends with the box.
"""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from engine.api import lock_holder, stop_engine
from tests.support.homes import move_into, new_home
from tests.support.pty_app import ROOT

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
TOOLS = (SSHD, shutil.which("ssh"), shutil.which("ssh-keygen"))
needs_sshd = pytest.mark.skipif(not all(TOOLS), reason="needs sshd, ssh and ssh-keygen (apt: openssh-server)")
PATIENCE = 20.0
ENGINE_IDLE = "120"


@dataclass
class Box:
    """Another machine. `home` is its home folder, seen from outside."""

    folder: Path
    home: Path
    port: int
    name: str = "box"
    sshd: subprocess.Popen[bytes] | None = None
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        """The ssh configuration that knows it."""
        return self.folder / "ssh_config"

    @property
    def ssh(self) -> list[str]:
        """`ssh` with that configuration."""
        return ["ssh", "-F", str(self.config)]

    def engine(self) -> int:
        """The pid of the engine that runs there."""
        with pytest.MonkeyPatch.context() as patch:
            move_into(self.home, patch)
            pid = lock_holder()
        assert pid is not None
        return pid

    @property
    def command(self) -> Path:
        """The `qwill` of the box, where no non-interactive shell looks for it."""
        return self.home / ".local/bin/qwill"

    def run(self, words: str, timeout: float = PATIENCE, **more: object) -> subprocess.CompletedProcess[str]:
        """`ssh box words`, as a script would."""
        wanted = [*self.ssh, self.name, words]
        return subprocess.run(wanted, capture_output=True, text=True, timeout=timeout, check=False, **more)  # type: ignore[call-overload,no-any-return]

    def start(self) -> None:
        """Start sshd, and wait until it listens."""
        assert SSHD is not None
        log = (self.folder / "sshd.log").open("ab")
        wanted = [SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")]
        self.sshd = subprocess.Popen(wanted, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self.sshd.poll() is None, (self.folder / "sshd.log").read_text()
                assert time.monotonic() < deadline, (self.folder / "sshd.log").read_text()
                time.sleep(0.02)

    def stop(self) -> None:
        """End sshd and every connection to it, as a machine does that loses its network."""
        if self.sshd is None:
            return
        try:
            children = psutil.Process(self.sshd.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            children = []
        self.sshd.kill()
        self.sshd.wait()
        self.sshd = None
        for child in children:
            if child.is_running() and child.name().startswith("sshd"):
                child.kill()

    def cut(self) -> int:
        """kill -9 every ssh that speaks to this box, on our side; returns how many there were."""
        cut = 0
        for process in self.clients():
            try:
                process.kill()
                cut += 1
            except psutil.NoSuchProcess:
                continue
        return cut

    def clients(self) -> list[psutil.Process]:
        """The ssh processes on our side; a shared connection is one too."""
        return [each for each in _of_ours() if self._speaks(" ".join(_words(each)))]

    def pumps(self) -> list[psutil.Process]:
        """The processes that carry bytes to the engine, on the box's side."""
        return [each for each in _of_ours() if "--stdio" in _words(each) and self._lives(each)]

    def _speaks(self, command: str) -> bool:
        shared = os.environ.get("XDG_STATE_HOME", "nowhere")
        return command.startswith(f"ssh -F {self.config} ") or command.startswith(f"ssh: {shared}/")

    def _lives(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get("HOME") == str(self.home)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False


@contextmanager
def box_at(
    monkeypatch: pytest.MonkeyPatch, *, name: str = "box", env: Mapping[str, str] | None = None
) -> Iterator[Box]:
    """A box that runs, and that `qwill` reaches as `name`; its engine and its sshd end with it."""
    with new_home() as folder, new_home() as home:
        box = Box(folder, home, _free_port(), name)
        box.environment = _environment(home) | dict(env or {})
        _write(box)
        monkeypatch.setenv("QWILL_SSH", " ".join(box.ssh))
        try:
            box.start()
            yield box
        finally:
            box.cut()
            with pytest.MonkeyPatch.context() as patch:
                move_into(home, patch)
                stop_engine()
            box.stop()


def _write(box: Box) -> None:
    """Keys, configurations, and the `qwill` of the box."""
    folder = box.folder
    for key in ("host_key", "user_key"):
        wanted = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
        subprocess.run(wanted, check=True, stdin=subprocess.DEVNULL)
    (folder / "authorized_keys").write_text((folder / "user_key.pub").read_text())
    public = " ".join((folder / "host_key.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{box.port} {public}\n")
    sets = " ".join(f'"{key}={value}"' for key, value in box.environment.items())
    (folder / "sshd_config").write_text(
        f"Port {box.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nUsePAM no\nPidFile none\n"
        f"PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n"
        f"UseDNS no\nMaxStartups 200\nMaxSessions 50\nPrintMotd no\nSetEnv {sets}\n"
    )
    box.config.write_text(
        f"Host {box.name}\n  HostName 127.0.0.1\n  Port {box.port}\n  User {getpass.getuser()}\n"
        f"  IdentityFile {folder}/user_key\n  IdentitiesOnly yes\n  IdentityAgent none\n"
        f"  UserKnownHostsFile {folder}/known_hosts\n  GlobalKnownHostsFile /dev/null\n"
        f"  StrictHostKeyChecking yes\n  PasswordAuthentication no\n"
    )
    box.command.parent.mkdir(parents=True)
    box.command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tui.cli.main "$@"\n')
    box.command.chmod(0o755)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where Debian's sshd locks itself up; only root can need it


def _environment(home: Path) -> dict[str, str]:
    """What a session there finds, besides what sshd sets."""
    folders = {f"XDG_{name}_HOME": str(home / name.lower()) for name in ("STATE", "DATA", "CONFIG", "CACHE")}
    plain = {
        "HOME": str(home),
        "HF_HOME": str(home / "hf"),
        "HF_HUB_OFFLINE": "1",
        "QWILL_FIND_SERVERS": "0",
        "QWILL_IDLE_SECONDS": ENGINE_IDLE,
        "PYTHONPATH": str(ROOT),
    }
    passed = {name: os.environ[name] for name in ("OMP_NUM_THREADS",) if name in os.environ}
    return folders | plain | passed


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _of_ours() -> list[psutil.Process]:
    return [each for each in psutil.process_iter() if _owner(each) == os.geteuid()]


def _owner(process: psutil.Process) -> int:
    try:
        return int(process.uids().real)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return -1


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []


def json_line(text: str) -> object:
    """The last line of an output, as JSON."""
    return json.loads(text.strip().splitlines()[-1])
