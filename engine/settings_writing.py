"""Changes one number in the table `[engine]` of settings.toml; every other line stays as it was written."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from engine.files import write_atomic
from engine.protocol.errors import EngineError, fault
from engine.settings import engine_settings, read_table, settings_path

_HEAD = re.compile(r"\s*\[\s*engine\s*\]\s*(#.*)?")


def set_number(key: str, value: float | None) -> None:
    """Write `key = value` into `[engine]`; None takes the line out.

    Raises EngineError `settings_wrong` where the file is wrong already, `settings_unsaved` where it cannot be
    written, or holds the key in a form that is not changed here. Then the file is as it was.
    """
    engine_settings()
    path = settings_path()
    try:
        old = path.read_text(encoding="utf-8-sig") if path.exists() else ""
        new = _changed(old, key, value)
        if _parsed(new) != _expected(old, key, value):
            raise _unsaved(f"It holds {key} in a form that Qwill does not change; edit {path} by hand")
        if new != old:
            write_atomic(path, new.encode())
    except OSError as error:
        raise _unsaved(error.strerror or str(error)) from error
    read_table("engine")


def _changed(text: str, key: str, value: float | None) -> str:
    """The text with the line set, right below the table's head where it was not there."""
    assignment = re.compile(rf"\s*{re.escape(key)}\s*=[^\r\n]*")
    row = "" if value is None else f"{key} = {value:g}\n"
    lines: list[str] = []
    inside = headed = done = False
    for line in text.splitlines(keepends=True):
        if line.lstrip().startswith("["):
            inside = _HEAD.fullmatch(line.rstrip("\r\n")) is not None
            headed = headed or inside
        if inside and assignment.fullmatch(line.rstrip("\r\n")):
            lines += [row] if row and not done else []
            done = True
        else:
            lines.append(line if line.endswith("\n") else f"{line}\n")
    if done or not row:
        return "".join(lines)
    if headed:
        at = next(place for place, line in enumerate(lines) if _HEAD.fullmatch(line.rstrip("\r\n")))
        return "".join([*lines[: at + 1], row, *lines[at + 1 :]])
    kept = "".join(lines).rstrip("\n")
    return f"{kept}\n\n[engine]\n{row}" if kept else f"[engine]\n{row}"


def _expected(text: str, key: str, value: float | None) -> dict[str, Any]:
    wanted = tomllib.loads(text)
    table = dict(wanted.get("engine", {}))
    table.pop(key, None)
    if value is not None:
        table[key] = float(f"{value:g}")
    rest = {name: part for name, part in wanted.items() if name != "engine"}
    return rest | ({"engine": table} if table else {})


def _parsed(text: str) -> dict[str, Any]:
    """Without an empty table, which says nothing."""
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {}
    return {name: part for name, part in found.items() if name != "engine" or part}


def _unsaved(detail: str) -> EngineError:
    return fault(
        "settings_unsaved",
        "The settings could not be saved",
        detail,
        f"Make {settings_path()} writable, and free some space",
    )
