"""The engine's settings: whether the file can be read, and what it sets."""

from __future__ import annotations

import os

from engine.api import EngineError, EngineSettings, engine_settings, settings_path
from tui.cli.doctor.finding import Finding

AREA = "Settings"


def check_settings() -> list[Finding]:
    """The file, what it says of memory, and each variable of `[engine.env]`."""
    try:
        found, path = engine_settings(), settings_path()
    except EngineError as error:
        what = f"{error.info.title}: {error.info.detail}" if error.info.detail else error.info.title
        return [Finding(AREA, "problem", what, error.info.remedy)]
    if not path.exists():
        return [Finding(AREA, "ok", f"There is no {path}; everything is as it comes")]
    return [Finding(AREA, "ok", f"{path}: {said(found)}"), *map(_variable, found.env.items())]


def said(found: EngineSettings) -> str:
    """`keep_alive`, `kept_free` and `pause_at_critical` in words."""
    if found.keep_alive == "off":
        idle = "idle models stay loaded"
    elif found.keep_alive is None:
        idle = "idle models stay for 30 minutes, and while a workbench is open"
    else:
        idle = f"idle models stay for {found.keep_alive:g} minutes"
    kept = "by the machine" if found.kept_free is None else f"{found.kept_free:g} GiB"
    words = {None: "", True: "; a run is parked before memory runs out", False: "; no run is parked"}
    return f"{idle}; memory kept free: {kept}{words[found.pause_at_critical]}"


def _variable(item: tuple[str, str]) -> Finding:
    name, value = item
    if os.environ.get(name, value) != value:
        do = "Unset it in the shell for the settings to count"
        return Finding(AREA, "note", f"{name} = {value} is set otherwise by this shell, which wins", do)
    return Finding(AREA, "ok", f"The engine starts with {name} = {value}")
