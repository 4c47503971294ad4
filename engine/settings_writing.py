"""Changes one thing in settings.toml; every other line stays as it was written."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
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
    wanted = None if value is None else float(f"{value:g}")
    try:
        rewrite("engine", key, wanted, lambda text: _changed(text, key, value))
    except OSError as error:
        raise unsaved(error.strerror or str(error)) from error


def rewrite(table: str, key: str, value: Any, change: Callable[[str], str]) -> None:
    """Put `change(text)` in place of the file, once it is sure to set `key` of `table` and nothing else.

    `value` is what the key then holds; None: it is gone. Raises OSError, EngineError `settings_wrong` where
    the file is wrong already, `settings_unsaved` where it holds the key in a way that `change` does not know.
    """
    read_table(table)  # a file that cannot be read is not written over
    path = settings_path()
    old = path.read_text(encoding="utf-8-sig") if path.exists() else ""
    new = change(old)
    if _parsed(new, table) != _expected(old, table, key, value):
        raise unsaved(f"It holds {key} in a form that Qwill does not change; edit {path} by hand")
    if new != old:
        write_atomic(path, new.encode())


def unsaved(detail: str) -> EngineError:
    """That the file could not be written, and why."""
    return fault(
        "settings_unsaved",
        "The settings could not be saved",
        detail,
        f"Make {settings_path()} writable, and free some space",
    )


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


def _expected(text: str, table: str, key: str, value: Any) -> dict[str, Any]:
    wanted = tomllib.loads(text)
    rest = {name: part for name, part in wanted.get(table, {}).items() if name != key}
    return _filled(wanted | {table: rest if value is None else rest | {key: value}}, table)


def _parsed(text: str, table: str) -> dict[str, Any] | None:
    """None where it is no TOML."""
    try:
        return _filled(tomllib.loads(text), table)
    except tomllib.TOMLDecodeError:
        return None


def _filled(tables: dict[str, Any], table: str) -> dict[str, Any]:
    """Without this table where it is empty, for that says nothing."""
    return {name: part for name, part in tables.items() if name != table or part}
