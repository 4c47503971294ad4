"""A unit of the user's own systemd that starts the engine after a reboot, so that queued runs go on.

It starts what `qwill` starts: the engine under its parent, which leaves again once there is nothing to do.
systemd.service(5) and systemd.exec(5) say what the keys mean.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

from engine import systemd
from engine.files import write_atomic
from engine.protocol.errors import EngineError, fault

NAME = "qwill.service"
MARK = "# Written by `qwill engine install-unit`. Your own changes: `systemctl --user edit qwill`."
PLACES = (
    "XDG_STATE_HOME",
    "XDG_DATA_HOME",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "HF_HOME",
    "HF_HUB_CACHE",
)
"""Variables that say where things lie: a unit knows none of a shell's."""
LINGER_COMMAND = "loginctl enable-linger"


class UnitChange(msgspec.Struct, frozen=True):
    """What was done about the unit, or would be."""

    path: str
    done: bool
    """False for a dry run, and where there was nothing to do."""
    found: bool = False
    """Whether there was one before."""
    text: str = ""
    """The whole unit; empty where it goes."""
    commands: tuple[str, ...] = ()
    """Of systemd's, that were run or would be."""
    enabled: bool = False
    """Whether it is started with the user's manager."""
    lingers: bool = False
    """Whether that manager is started at boot."""
    remedy: str = ""
    """What a person must still do for the engine to come back after a reboot."""


def install_unit(*, dry_run: bool = False) -> UnitChange:
    """Write the unit and enable it. Raises EngineError `unit_foreign`, `unit_unwritable` or `no_systemd`."""
    if sys.platform != "linux" or systemd.run("systemctl", "--version")[0] != 0:
        raise fault(
            "no_systemd",
            "This machine has no systemd",
            "its systemctl does not answer",
            "Start the engine by what starts programs here: `qwill engine start`",
        )
    path, text, manager = unit_path(), unit_text(), systemd.user_manager_answers()
    _refuse_foreign(path)
    steps = [("daemon-reload",), ("enable", NAME)] if manager else []
    commands = tuple(" ".join(("systemctl", "--user", *words)) for words in steps)
    lasting = systemd.lingers()
    remedy = "" if lasting else f"Run `{LINGER_COMMAND}`: without it the engine starts at your first login"
    change = UnitChange(str(path), not dry_run, path.exists(), text, commands, True, lasting, remedy)
    if dry_run:
        return change
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text.encode())
        if not manager:
            _link(path)  # what `systemctl enable` does; the next manager reads it
    except OSError as error:
        raise _unwritable(path, error) from error
    for words in steps:
        _do(*words)
    return change


def remove_unit(*, dry_run: bool = False) -> UnitChange:
    """Take the unit away again; an engine that runs goes on. Raises EngineError as `install_unit`."""
    path = unit_path()
    if not path.is_file():
        return UnitChange(str(path), False, lingers=systemd.lingers())
    _refuse_foreign(path)
    manager = systemd.user_manager_answers()
    steps = [("disable", NAME), ("daemon-reload",)] if manager else []
    commands = tuple(" ".join(("systemctl", "--user", *words)) for words in steps)
    change = UnitChange(str(path), not dry_run, True, "", commands, lingers=systemd.lingers())
    if dry_run:
        return change
    if manager:
        _do(*steps[0])
    try:
        _wanted(path).unlink(missing_ok=True)
        path.unlink()
    except OSError as error:
        raise _unwritable(path, error) from error
    if manager:
        _do(*steps[1])
    return change


def unit_path() -> Path:
    """Where the unit lies: under XDG_CONFIG_HOME, as systemd looks it up."""
    folder = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(folder) / "systemd" / "user" / NAME


def unit_text() -> str:
    """The unit for this Python, this checkout or installation, and these folders."""
    words = [sys.executable, "-P", "-m", "engine.daemon", "boot"]
    places = {name: os.environ[name] for name in PLACES if os.environ.get(name)}
    root = Path(__file__).resolve().parent.parent
    if (root / "pyproject.toml").exists():
        places["PYTHONPATH"] = str(root)
    lines = [
        MARK,
        "[Unit]",
        "Description=Qwill's engine, which goes on with queued runs",
        "",
        "[Service]",
        "Type=exec",
        f"ExecStart={' '.join(_quoted(word, command=True) for word in words)}",
        *(f"Environment={_quoted(f'{name}={value}')}" for name, value in places.items()),
        "UMask=0077",
        "# A stop goes to the engine's parent, which hands it on.",
        "KillMode=mixed",
        "TimeoutStopSec=90",
        "# The parent starts an engine again that the kernel took for its memory.",
        "OOMPolicy=continue",
        "",
        "[Install]",
        "WantedBy=default.target",
    ]
    return "\n".join(lines) + "\n"


def _quoted(word: str, *, command: bool = False) -> str:
    """A word as systemd reads it back: `%` starts a specifier, in commands `$` a variable."""
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    if command:
        word = word.replace("$", "$$")
    if any(character < " " for character in word):
        raise fault("unit_unwritable", "A path with a control character cannot stand in a unit", repr(word))
    return f'"{word}"' if command is False or not word.isascii() or set(word) & set(" \\\"'$;") else word


def _refuse_foreign(path: Path) -> None:
    """Leave a unit alone that a person wrote."""
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unwritable(path, error) from error
    if not text.startswith(MARK.partition(".")[0]):
        raise fault(
            "unit_foreign",
            f"{path} was not written by Qwill",
            "what stands in it would be lost",
            "Move it away, then try again",
        )


def _link(path: Path) -> None:
    wanted = _wanted(path)
    wanted.parent.mkdir(parents=True, exist_ok=True)
    wanted.unlink(missing_ok=True)
    wanted.symlink_to(path)


def _wanted(path: Path) -> Path:
    return path.parent / "default.target.wants" / NAME


def _do(*words: str) -> None:
    code, said = systemd.run("systemctl", "--user", *words)
    if code:
        command = " ".join(("systemctl", "--user", *words))
        last = said.strip().splitlines()[-1] if said.strip() else f"it ended with status {code}"
        raise fault("systemd_refused", f"`{command}` failed", last, "The unit is written; run it by hand")


def _unwritable(path: Path, error: OSError) -> EngineError:
    detail = error.strerror or str(error)
    return fault("unit_unwritable", f"{path} cannot be written", detail, f"Make {path.parent} writable")
