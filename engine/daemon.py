"""The engine as a process of its own: start it, find it, stop it, and a small parent that sees how it ends.

    client --start--> parent (no torch, own session) --> engine (`python -m engine.daemon run`)

One engine a user: it holds an flock for its whole life, and the kernel frees that on any death.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, NoReturn

import msgspec

from engine import paths, systemd
from engine.files import write_atomic
from engine.protocol.errors import EngineError, ErrorInfo, fault
from engine.runs import under_way

LOG_KEPT = 4 << 20
"""Bytes of log that are kept when an engine starts; a longer one moves to engine.log.1."""
BUSY_EXIT = 3
"""Exit code of an engine that found another one alive."""
CRASHES = (-signal.SIGKILL, -signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS)
"""How an engine ends whom nobody asked to: the kernel takes it, or a library breaks."""
TRIES = 3
"""Times that an engine with a run under way is started again within TRIES_SECONDS."""
TRIES_SECONDS = 600.0
PROBE_BYTES = 4096
GLANCE_SECONDS = 0.3
"""For which a lock that is held may be that of somebody who only looks."""
COMES_BACK_SECONDS = 10.0
"""After the end of an engine, in which the one that its parent starts must have taken the lock."""


class Exit(msgspec.Struct, frozen=True):
    """How an engine ended."""

    pid: int
    code: int
    """Exit status; negative is the signal that killed it, as subprocess counts."""
    at: float
    run: str = ""
    """Id of the run that was under way."""
    again: bool = False
    """Whether its parent starts another one, which takes the run up."""
    out_of_memory: bool = False
    """Whether the kernel says that it ended a process because memory ran out."""

    def sentence(self) -> str:
        """In plain words."""
        return self._how() + self._and_then()

    def _and_then(self) -> str:
        if self.again:
            return ". It starts again and goes on with the run"
        if self.run and self.code in CRASHES:
            return f", {TRIES + 1} times in a row with {self.run} under way, so it is not started again"
        return ""

    def _how(self) -> str:
        if self.code == 0:
            return "The engine was stopped"
        if self.code > 0:
            return f"The engine ended with status {self.code}"
        name = signal.Signals(-self.code).name if -self.code in list(signal.Signals) else "unknown"
        hint = ", perhaps by the kernel because memory ran out" if self.code == -signal.SIGKILL else ""
        return f"The engine was killed by signal {-self.code} ({name}){hint}"


def start_engine() -> int:
    """Start an engine under its parent, detached from this terminal; returns the parent's pid.

    All three descriptors are redirected (an inherited one would keep an ssh session open) and the
    output goes to the log. Where systemd would end it with this login, it gets a scope of its own. Raises
    EngineError `state_unwritable` when the state folder can't be used, and `settings_wrong` when the settings
    hold variables that may not be set.
    """
    descriptor = _open_log()
    try:
        for scope in [*systemd.scopes(), []]:
            parent = subprocess.Popen(
                [*scope, *_command("supervise")],
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
                cwd="/",
                env=_environment(),
            )
            if not scope or systemd.entered(parent, _command("supervise")):
                break
    finally:
        os.close(descriptor)
    return parent.pid


def start_at_boot() -> NoReturn:
    """Become the parent of an engine, as `start_engine` starts one; what a unit of systemd calls.

    Raises EngineError as `start_engine`.
    """
    descriptor = _open_log()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.chdir("/")
    os.execve(sys.executable, _command("supervise"), _environment())


def _open_log() -> int:
    """A descriptor for what engines print; raises EngineError `state_unwritable`."""
    log_file = paths.log_path()
    try:
        _rotate(log_file)
        return os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        raise _unwritable(log_file, error) from error


def supervise() -> int:
    """The parent: run the engine, wait, and leave a note of how it ended.

    An engine that was killed while a run was under way is started again, a few times.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    began: list[float] = []
    while True:
        began.append(time.monotonic())
        kills = _memory_kills()
        engine = subprocess.Popen(_command("run"), stdin=subprocess.DEVNULL, cwd="/")
        _forget_namesake(engine.pid)
        asked = _pass_on(engine)
        code = engine.wait()
        if code == BUSY_EXIT:
            return 0
        lately = [start for start in began if time.monotonic() - start < TRIES_SECONDS]
        run = under_way.of(engine.pid)
        crashed = code in CRASHES and bool(run) and not asked and not _stop_wanted(engine.pid)
        again = crashed and len(lately) <= TRIES
        note = Exit(engine.pid, code, time.time(), run if crashed else "", again, _memory_kills() > kills)
        with contextlib.suppress(OSError):  # a full disk costs the word, not the engine that comes back
            write_atomic(paths.exit_path(), msgspec.json.encode(note))
        if not again:
            return 0


def _pass_on(engine: subprocess.Popen[bytes]) -> list[int]:
    """Hand SIGTERM on to the engine; filled once one came."""
    asked: list[int] = []

    def end(number: int, _: object) -> None:
        asked.append(number)
        engine.terminate()

    signal.signal(signal.SIGTERM, end)
    return asked


def _memory_kills() -> int:
    """Processes that the kernel ended for want of memory since the machine started; 0: unknown."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def _stop_path() -> Path:
    return paths.state_dir() / "engine.stop"


def _stop_wanted(pid: int) -> bool:
    """Whether somebody asked this engine to end."""
    try:
        return _stop_path().read_text() == str(pid)
    except OSError:
        return False


def _forget_namesake(pid: int) -> None:
    """Drop what was noted of an earlier engine with this pid: in a container they come again."""
    if _stop_wanted(pid):
        _stop_path().unlink(missing_ok=True)
    note = exit_note()
    if note is not None and note.pid == pid:
        paths.exit_path().unlink(missing_ok=True)


def last_exit(pid: int, *, patience: float = 0.6) -> Exit | None:
    """How the engine of this pid ended, once its parent has written it; None when nobody knows."""
    deadline = time.monotonic() + patience
    while True:
        note = exit_note()
        if note is not None and note.pid == pid:
            return note
        if time.monotonic() > deadline:
            return None
        time.sleep(0.05)


def exit_note() -> Exit | None:
    """How the last engine ended, as far as its parent could write it."""
    try:
        return msgspec.json.decode(paths.exit_path().read_bytes(), type=Exit)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def comes_back() -> bool:
    """Whether a parent starts an engine again in this moment."""
    note = exit_note()
    return note is not None and note.again and 0 <= time.time() - note.at < COMES_BACK_SECONDS


def alive(pid: int) -> bool:
    """Whether this process exists and is no zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return True


def lock_engine() -> IO[str]:
    """Become the one engine: hold the lock for as long as the returned file is open.

    Raises EngineError `engine_busy`, with the pid of the one that holds it, or `state_unwritable`.
    """
    path = paths.lock_path()
    try:
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 - its life is the engine's
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        os.fchmod(file.fileno(), 0o600)
        if not _locked(file):
            raise _busy(file)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
    except OSError as error:
        _drop(file)
        raise _unwritable(path, error) from error
    except EngineError:
        file.close()
        raise
    return file


def _locked(file: IO[str]) -> bool:
    """Take the lock; whoever only looks (`lock_holder`) has it for a moment, an engine for its life."""
    deadline = time.monotonic() + GLANCE_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        else:
            return True


def _busy(file: IO[str]) -> EngineError:
    file.seek(0)
    holder = file.read().strip() or "unknown"
    return fault(
        "engine_busy",
        f"Another engine is running (process {holder})",
        remedy="Attach to it with `qwill`, or end it with `qwill engine stop`",
    )


def _drop(file: IO[str]) -> None:
    """Close a file whose last words could not be written: the first try raises and keeps it open."""
    with contextlib.suppress(OSError):
        file.close()


def state_trouble() -> ErrorInfo | None:
    """Why an engine cannot write in the state folder; None when it can."""
    probe = paths.lock_path().with_name(f".probe.{os.getpid()}")
    try:
        probe.write_bytes(bytes(PROBE_BYTES))
    except OSError as error:
        return _unwritable(probe.parent, error).info
    finally:
        probe.unlink(missing_ok=True)
    return None


def _unwritable(path: Path, error: OSError) -> EngineError:
    return fault(
        "state_unwritable",
        f"{path} cannot be written",
        error.strerror or str(error),
        "Free some space there, or set XDG_STATE_HOME to a folder that can be written",
    )


def lock_holder() -> int | None:
    """The pid of the running engine, or None when nobody holds the lock."""
    try:
        with open(paths.lock_path(), encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return int(file.read().strip() or 0) or None
    except (OSError, ValueError):
        pass
    return None


def stop_engine(seconds: float = 5.0) -> bool:
    """End the running engine: SIGTERM, then SIGKILL. False when none runs."""
    pid = lock_holder()
    if pid is None or not _has_open(pid, paths.lock_path()):
        return False
    with contextlib.suppress(OSError):  # an engine that must be killed does not come back
        write_atomic(_stop_path(), str(pid).encode())
    for wanted, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 2.0)):
        try:
            os.kill(pid, wanted)
        except ProcessLookupError:
            return True
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if lock_holder() != pid:
                return True
            time.sleep(0.02)
    return True


def _has_open(pid: int, path: Path) -> bool:
    """Whether this process has the file open: a pid in a file may be old, and belong to a stranger now."""
    try:
        names = [os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")]
    except FileNotFoundError:
        return not Path("/proc/self/fd").exists()  # a system without it, or a process that is gone
    except OSError:
        return False
    return os.path.realpath(path) in names


def _command(role: str) -> list[str]:
    # -P: a folder named "engine" where the user stands must not be imported instead of ours.
    return [sys.executable, "-P", "-m", "engine.daemon", role]


def _environment() -> dict[str, str]:
    # Of glibc's heaps, one for each busy thread, none gives back what a run and replies beside it broke up.
    environment = {"MALLOC_ARENA_MAX": "1"} | os.environ
    root = Path(__file__).resolve().parent.parent
    if (root / "pyproject.toml").exists():
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), environment.get("PYTHONPATH")]))
    if not (paths.config_dir() / "settings.toml").exists():
        return environment
    from engine.settings import engine_settings  # only where there is something to read

    return engine_settings().env | environment


def _rotate(path: Path) -> None:
    if path.exists() and path.stat().st_size > LOG_KEPT:
        os.replace(path, path.with_suffix(".log.1"))


def main() -> int:
    """`python -m engine.daemon supervise|run|boot`."""
    os.umask(0o077)
    if sys.argv[1:] == ["boot"]:
        start_at_boot()
    if sys.argv[1:] == ["supervise"]:
        return supervise()
    gc.disable()  # until torch is imported: what the imports make stays for good
    from engine.host import run_engine

    return run_engine()


if __name__ == "__main__":
    sys.exit(main())
