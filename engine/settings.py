"""`settings.toml` of the config folder: what a person sets for the engine. `settings_writing` changes it.

[engine]
keep_alive = 30      # minutes that an idle model stays loaded; 0: none; "off": until it is unloaded
kept_free = 1.5      # GiB of memory that a load leaves to other programs
pause_at_critical = true   # park the run before memory runs out

[engine.env]
HSA_OVERRIDE_GFX_VERSION = "11.0.0"

[screen]             # read by tui.remote_profile
remote = "auto"      # "on": painted as over ssh; "off": as on this machine
mouse = true         # false: the terminal keeps it
"""

from __future__ import annotations

import logging
import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec

from engine.engine_env import refuse_unsafe
from engine.paths import config_dir
from engine.protocol.errors import EngineError, fault

LIMIT = 1 << 20
"""Bytes of the file at most."""
log = logging.getLogger(__name__)
_seen: dict[Path, tuple[tuple[int, int], dict[str, Any]]] = {}
"""The file as it was read last, with its time and size."""


class EngineSettings(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """The table `[engine]`."""

    keep_alive: float | Literal["off"] | None = None
    """Minutes that an idle model stays loaded. None: 30, and always while a workbench is open."""
    kept_free: float | None = None
    """GiB that a load leaves free; None goes by the machine."""
    pause_at_critical: bool | None = None
    """Whether a run is parked when memory is critically short, before the kernel ends the engine. None: where
    the run computes in RAM, on a CPU or a GPU that shares it. A run in a card's own memory would free no RAM,
    and would lose hours for nothing."""
    env: dict[str, str] = {}
    """Variables that the engine is started with, such as HSA_OVERRIDE_GFX_VERSION."""

    @property
    def reserve(self) -> int | None:
        """`kept_free` in bytes."""
        return None if self.kept_free is None else round(self.kept_free * (1 << 30))


_good = EngineSettings()
"""As they were when the file was right last."""


def settings_path() -> Path:
    """Where the settings lie; the file need not exist."""
    return config_dir() / "settings.toml"


def read_table(name: str) -> dict[str, Any]:
    """One table of the settings, `{}` where it is missing; the file is read again once it has changed.

    Raises EngineError `settings_wrong` with the place of the fault.
    """
    table = _read(settings_path()).get(name, {})
    if not isinstance(table, dict):
        raise _wrong(f"`{name}` is no table", f"Write [{name}] on a line of its own")
    return table


def engine_settings() -> EngineSettings:
    """The table `[engine]`, checked. Raises EngineError `settings_wrong`."""
    table = dict(read_table("engine"))
    if isinstance(table.get("env"), dict):
        table["env"] = {key: _word(value) for key, value in table["env"].items()}
    try:
        found = msgspec.convert(table, EngineSettings)
    except msgspec.ValidationError as error:
        keys = "Its keys are keep_alive, kept_free, pause_at_critical and the table env"
        raise _wrong(str(error), keys) from error
    for key in ("keep_alive", "kept_free"):
        value = getattr(found, key)
        if isinstance(value, float) and not 0 <= value <= 1e6:
            raise _wrong(f"{key} is {value:g}", "Write a number from 0 on")
    refuse_unsafe(found.env, str(settings_path()))
    return found


def current_settings() -> EngineSettings:
    """As `engine_settings`; while the file is wrong, half edited say, as they were before. Never raises."""
    global _good  # noqa: PLW0603 - the last good one, for the process
    try:
        _good = engine_settings()
    except EngineError as error:
        log.debug("%s", error.info.sentence())
    return _good


def _word(value: object) -> object:
    """A variable's value as the environment has it; a number may be written without quotes."""
    return str(value) if type(value) in (int, float) else value


def _read(path: Path) -> dict[str, Any]:
    try:
        status = path.stat()
        key = (status.st_mtime_ns, status.st_size)
        if path not in _seen or _seen[path][0] != key:
            if status.st_size > LIMIT:
                raise _wrong("it is too large to be settings", "Write it anew")
            _seen[path] = (key, tomllib.loads(path.read_text(encoding="utf-8-sig")))
        return _seen[path][1]
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _wrong(error.strerror or str(error), "Make it readable") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise _wrong(str(error), "Look at that place; texts stand in quotes") from error


def _wrong(detail: str, remedy: str) -> EngineError:
    return fault("settings_wrong", f"{settings_path()} cannot be used", detail, remedy)
