"""What systemd does to an engine when its user logs out, and a scope of its own where that keeps it alive.

A process of a login lies in `session-N.scope`. logind ends that scope with the login where KillUserProcesses
is on (logind.conf(5)); a scope under the user's own manager stays, for as long as that manager does: while
any login of the user is left, or for good where the user lingers (loginctl(1)). Without KillUserProcesses
the engine is safer where it is, because the manager would take it along. Imports nothing slow.
"""

from __future__ import annotations

import getpass
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

LINGER = Path("/var/lib/systemd/linger")
"""A file in it for each user who lingers."""
SECONDS = 3.0
"""That systemd has for an answer; without one everything is as on a machine without it."""
ANSWERS = ("running", "degraded", "starting", "initializing", "maintenance")
"""What `systemctl is-system-running` says of a manager that can be asked."""


class Logout(msgspec.Struct, frozen=True):
    """What becomes of a process when its user's last login ends."""

    ends: bool
    why: str = ""
    """Empty where it goes on for no reason that needs telling."""
    lingers: bool = False
    manager: bool = False
    """Whether the user's own systemd answers here."""


def at_logout(pid: int | None = None) -> Logout | None:
    """Whether logging out ends this process (ours without `pid`); None where systemd has no say in it."""
    group = cgroup_of(pid)
    if not (_in_session(group) or _in_manager(group)):
        return None
    lasting, manager = lingers(), user_manager_answers()
    if _in_manager(group):
        why = "it belongs to your own systemd, which ends with your last login"
        return Logout(not lasting, why, lasting, manager)
    if logind_kills():
        why = "logind ends what a login leaves behind (KillUserProcesses=yes)"
        return Logout(not (lasting and manager), why, lasting, manager)
    return Logout(False, "", lasting, manager)


def scopes() -> list[list[str]]:
    """Commands to put before another so that it survives the end of this login; the best first.

    Empty where nothing ends it, and where no manager of the user answers.
    """
    if sys.platform != "linux" or not _in_session(cgroup_of()):
        return []
    if not (logind_kills() and user_manager_answers()) or shutil.which("systemd-run") is None:
        return []
    unit = f"--unit=qwill-engine-{os.getpid()}-{time.monotonic_ns() // 1_000_000}"
    words = ["systemd-run", "--user", "--scope", "--quiet", "--collect", "--no-ask-password", unit]
    # From systemd 253 on a scope is stopped as a whole when the kernel takes one process of it for its memory
    # (systemd.scope(5)), but the engine's parent must stay. Older ones refuse the word, and stop nothing.
    return [[*words, "--property=OOMPolicy=continue", "--"], [*words, "--"]]


def entered(process: subprocess.Popen[bytes], wanted: Sequence[str]) -> bool:
    """Wait until `systemd-run --scope` has become the command behind it; False when it gave up.

    It executes the command in its own process, so the process id is the command's from then on.
    """
    deadline = time.monotonic() + SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            words = Path(f"/proc/{process.pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            break
        if words[:-1] == [os.fsencode(word) for word in wanted]:
            return True
        time.sleep(0.005)
    if process.poll() is None:
        process.kill()
    process.wait()
    return False


def lingers() -> bool:
    """Whether this user's services run without a login."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, in a container say
        return False
    try:
        return (LINGER / name).exists()
    except OSError:
        return _said("loginctl", "show-user", name, "--property=Linger", "--value").strip() == "yes"


def logind_kills() -> bool:
    """Whether logind ends what a login of this user leaves behind. False where it cannot be asked."""
    names = ("KillUserProcesses", "KillExcludeUsers", "KillOnlyUsers")
    where = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")
    lines = _said("busctl", "--system", "get-property", *where, *names).splitlines()
    if len(lines) != len(names) or lines[0].strip() != "b true":
        return False
    excluded, only = (re.findall(r'"([^"]*)"', line) for line in lines[1:])
    user = getpass.getuser()
    return user not in excluded and (not only or user in only)


def user_manager_answers() -> bool:
    """Whether this user has a systemd of their own, and it can be asked."""
    folder = runtime_dir()
    if folder is None or not (folder / "systemd").is_dir():
        return False
    return _said("systemctl", "--user", "is-system-running").strip() in ANSWERS


def runtime_dir() -> Path | None:
    """XDG_RUNTIME_DIR, or where logind would have put it; `su` and sudo forget to say."""
    named = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(named) if named else Path(f"/run/user/{os.getuid()}")
    return folder if folder.is_dir() else None


def cgroup_of(pid: int | None = None) -> str:
    """The control group of a process as systemd named it; empty where there is none."""
    try:
        lines = Path(f"/proc/{pid or 'self'}/cgroup").read_text().splitlines()
    except OSError:
        return ""
    paths = {fields[1]: fields[2] for line in lines if len(fields := line.split(":", 2)) == 3}
    return paths.get("name=systemd") or paths.get("", "")


def run(*words: str) -> tuple[int, str]:
    """One of systemd's programs to its end: exit status, and what it said. 127 when it is not there."""
    folder = runtime_dir()
    environment = os.environ | ({"XDG_RUNTIME_DIR": str(folder)} if folder else {})
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 127, str(error)
    return done.returncode, done.stdout or done.stderr


def _said(*words: str) -> str:
    return run(*words)[1]


def _in_session(group: str) -> bool:
    return re.search(r"/session-[^/]+\.scope(/|$)", group) is not None


def _in_manager(group: str) -> bool:
    return re.search(r"/user@\d+\.service(/|$)", group) is not None
