"""The line to the machine that is set up: finds a Python there, hands it the installer and the wheel."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import msgspec

from engine import VERSION, paths
from engine.protocol.errors import EngineError, EngineLost, ErrorInfo, fault
from engine.remote import remember, words
from engine.remote.command import PLAIN_PATH, checked
from engine.remote.ssh import arguments
from engine.setup import wheel as wheels
from engine.setup.wheel import Wheel

MARK = b"#qwill-setup "
NO_PYTHON = b"#qwill python"
LINE = 1 << 16
"""Bytes of a line that are read at most."""
CHUNK = 1 << 16
PLACES = (
    "python3 python3.14 python3.13 python3.12 python3.11",
    '"$HOME/.venv/bin/python" /opt/venv/bin/python /opt/conda/bin/python',
    '"$HOME/miniconda3/bin/python" "$HOME/miniforge3/bin/python"',
)
"""Where a Python with torch may be: the system's, and what images of ROCm and PyTorch use."""
WITH_TORCH = (
    'import sys,importlib.util as u;sys.exit(0 if sys.version_info>=(3,11) and u.find_spec("torch") else 3)'
)
ANY = "import sys;sys.exit(0 if sys.version_info>=(3,11) else 3)"
BOOT = 'import sys;n=int(sys.stdin.buffer.readline());exec(compile(sys.stdin.buffer.read(n),"setup","exec"))'
# No single quote, backslash or exclamation mark: every shell passes it on alike.
SCRIPT = (
    "p=; q=; "
    f'if [ -n "$1" ]; then set -- "$1" "$2" "$3" "$4" "$1"; else set -- "" "$2" "$3" "$4" {" ".join(PLACES)} '
    '"$("${SHELL:-sh}" -lc "command -v python3" </dev/null 2>/dev/null | tail -n 1)"; fi; '
    "a=$2; b=$3; boot=$4; shift 4; "
    'for c in "$@"; do f=$(command -v "$c" 2>/dev/null) || continue; '
    'if "$f" -c "$a" 2>/dev/null </dev/null; then p=$f; break; fi; '
    'if [ -z "$q" ] && "$f" -c "$b" 2>/dev/null </dev/null; then q=$f; fi; done; '
    'if [ -z "$p" ]; then p=$q; fi; '
    'if [ -z "$p" ]; then echo; echo "#qwill python"; exit 127; fi; '
    'exec "$p" -c "$boot"'
)


class Wish(msgspec.Struct, frozen=True):
    """What a person asked for."""

    python: str = ""
    """Of the other machine; empty: one with torch, else any."""
    torch: str = ""
    """The build, where one has to be installed; empty: by the machine."""
    dry: bool = False


class Told(msgspec.Struct, frozen=True):
    """One word from there: a step of the plan, a line of a program, or bytes of the wheel that were sent."""

    step: int = 0
    """From 1; 0: the same as before."""
    line: str = ""
    sent: int = 0
    total: int = 0


class Outcome(msgspec.Struct, frozen=True):
    """What came of it."""

    steps: tuple[str, ...]
    facts: dict[str, Any]
    log: str
    """The file here with every line of it."""
    command: str = ""
    """Path of `qwill` there; empty after a dry run."""
    version: str = ""
    torch: str = ""
    again: bool = False
    """Whether it was there already."""
    linked: str = ""
    """Where it lies on the PATH there, too; empty where another one does."""


def setup_host(
    host: str, wish: Wish, tell: Callable[[Told], None], planned: Callable[[Outcome], None]
) -> Outcome:
    """Install Qwill there; blocks until it answers. `planned` hears of the steps before the first is done.

    Raises EngineError `host_name`, `setup_failed`, `wheel_unmade`, and EngineLost when ssh itself failed.
    """
    wheel = wheels.build()
    log = _log_path(host)
    with open(log, "w", encoding="utf-8", opener=_private) as file:
        line = _Line(host, wish, wheel, tell, planned, file, str(log))
        outcome = line.run()
    if outcome.command and PLAIN_PATH.fullmatch(outcome.command):
        remember.remember(host, outcome.command)
    return outcome


def command_line(wish: Wish) -> str:
    """What `ssh` runs there. Raises EngineError `setup_python` for a path that no shell takes as it is."""
    if wish.python and PLAIN_PATH.fullmatch(wish.python) is None:
        raise fault(
            "setup_python", "--python wants the whole path of a program there", remedy="Write it from / on"
        )
    given = map(shlex.quote, (wish.python, WITH_TORCH, ANY, BOOT))
    return " ".join(["exec sh -c", f"'{SCRIPT}'", "qwill", *given])


class _Line:
    """One ssh process, spoken to from one thread."""

    def __init__(
        self,
        host: str,
        wish: Wish,
        wheel: Wheel,
        tell: Callable[[Told], None],
        planned: Callable[[Outcome], None],
        log: IO[str],
        log_name: str,
    ) -> None:
        self._host, self._wish, self._wheel = checked(host), wish, wheel
        self._tell, self._planned = tell, planned
        self._log, self._log_name = log, log_name
        self._outcome: Outcome | None = None

    def run(self) -> Outcome:
        wanted = [*arguments(self._host, person=True), command_line(self._wish)]
        try:
            process = subprocess.Popen(wanted, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        except OSError as error:
            raise EngineLost(words.no_ssh(wanted[0])) from error
        with process:
            try:
                return self._talk(process)
            except BaseException:
                process.kill()
                raise

    def _talk(self, process: subprocess.Popen[bytes]) -> Outcome:
        assert process.stdin is not None
        assert process.stdout is not None
        program = (Path(__file__).parent / "installer.py").read_bytes()
        try:
            process.stdin.write(b"%d\n%b%b\n" % (len(program), program, json.dumps(self._asked()).encode()))
            process.stdin.flush()
        except BrokenPipeError:
            pass  # ssh has said why, or what comes back does
        while line := process.stdout.readline(LINE):
            if line.strip() == NO_PYTHON:
                raise self._no_python()
            if line.startswith(MARK):
                done = self._hear(line[len(MARK) :], process.stdin)
                if done is not None:
                    return done
            elif line.strip():
                self._note(line.decode("utf-8", "replace").rstrip())
        if self._wish.dry and self._outcome is not None:
            return self._outcome
        raise EngineLost(words.no_line(self._host, process.wait(), "", b""))

    def _asked(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "wheel": wheels.NAME,
            "sha256": self._wheel.sha256,
            "size": len(self._wheel.data),
            "constraints": self._wheel.constraints,
            "least_torch": self._wheel.torch,
            "torch": self._wish.torch,
            "dry": self._wish.dry,
        }

    def _hear(self, text: bytes, sink: IO[bytes]) -> Outcome | None:
        """One line of the installer's; an Outcome is the last."""
        try:
            told = json.loads(text)
            kind = told.pop("is")
        except (ValueError, KeyError, AttributeError):
            return None
        match kind:
            case "plan":
                self._outcome = self._read_plan(told)
                self._planned(self._outcome)
                self._tell(Told(step=1))
            case "step" if isinstance(told.get("at"), int):
                self._tell(Told(step=told["at"]))
            case "line":
                self._note(str(told.get("words", "")))
            case "send":
                self._send(sink)
            case "fault":
                raise self._failed(told)
            case "done" if self._outcome is not None:
                return msgspec.convert(
                    {**msgspec.to_builtins(self._outcome), **_plain(told)}, Outcome, strict=False
                )
        return None

    def _read_plan(self, told: dict[str, Any]) -> Outcome:
        try:
            steps = tuple(str(each) for each in told["plan"]["steps"])
            facts = {str(key): value for key, value in told["facts"].items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise self._failed({"title": "The installer there said something odd"}) from error
        self._log.write("".join(f"{number}. {each}\n" for number, each in enumerate(steps, 1)))
        return Outcome(steps, facts, self._log_name)

    def _send(self, sink: IO[bytes]) -> None:
        data, total = self._wheel.data, len(self._wheel.data)
        for offset in range(0, total, CHUNK):
            sink.write(data[offset : offset + CHUNK])
            sink.flush()
            self._tell(Told(sent=min(total, offset + CHUNK), total=total))

    def _note(self, line: str) -> None:
        self._log.write(f"{line}\n")
        self._log.flush()
        self._tell(Told(line=line))

    def _no_python(self) -> EngineError:
        asked = self._wish.python
        return fault(
            "setup_failed",
            f"{asked} is no Python 3.11 or newer on {self._host}"
            if asked
            else f"There is no Python 3.11 or newer on {self._host}",
            remedy="Install one there (apt install python3 python3-venv), or name one with --python PATH",
        )

    def _failed(self, told: dict[str, Any]) -> EngineError:
        title, detail, remedy = (str(told.get(key, "")) for key in ("title", "detail", "remedy"))
        self._log.write(f"{title}. {detail}\n")
        return EngineError(
            ErrorInfo("setup_failed", title, detail, f"{remedy}. The log: {self._log_name}".lstrip(". "))
        )


def _plain(told: dict[str, Any]) -> dict[str, Any]:
    return {key: told[key] for key in ("command", "version", "torch", "again", "linked") if key in told}


def _log_path(host: str) -> Path:
    """Raises EngineError `setup_failed` where the state folder cannot be written."""
    folder = paths.state_dir() / "setup"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise fault("setup_failed", f"{folder} cannot be written", error.strerror or str(error)) from error
    return folder / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', host)[:60].lstrip('-.') or 'host'}.log"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
