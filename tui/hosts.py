"""The machines that a person works on: hosts.toml in the config folder, a table a host."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from engine.api import EngineError, check_host, config_dir, fault, write_atomic
from tui import places

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
TAKEN = (places.HERE, places.THERE, "local", "shipped", "marked", "hub")
"""What stands before a colon in a path already."""
_HEADER = re.compile(r'\s*\[\s*(?:"([^"]*)"|([A-Za-z0-9_-]+))\s*\]')


def path() -> Path:
    """Where they are kept."""
    return config_dir() / "hosts.toml"


def load() -> dict[str, str]:
    """Address by name, in the file's order. Raises EngineError `hosts_unreadable`; no file is none."""
    try:
        return read(path().read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(str(error)) from error


def read(text: str) -> dict[str, str]:
    """The same of the file's text. Raises EngineError `hosts_unreadable`, `host_name`."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _unreadable(str(error)) from error
    found = {}
    for name, table in tables.items():
        address = table.get("address") if isinstance(table, dict) else None
        if not isinstance(address, str) or NAME.fullmatch(name) is None or name.lower() in TAKEN:
            raise _unreadable(f"[{name}] has no address, or a name that cannot be used")
        found[name] = check_host(address)
    return found


def known() -> dict[str, str]:
    """As `load`, but an unreadable file counts as none: the screen goes on without it."""
    try:
        return load()
    except EngineError:
        return {}


def resolve(host: str) -> str:
    """The address of a host by its name here; what is no name of ours is for ssh to know."""
    return known().get(host, host) if host else host


def called(address: str, hosts: Mapping[str, str] | None = None) -> str:
    """What a host is called: its name here, else what stands in its address."""
    named = known() if hosts is None else hosts
    return next((name for name, each in named.items() if each == address), places.label(address))


def add(name: str, address: str) -> None:
    """Keep a host; one of this name gets the new address.

    Raises EngineError `host_name`, `hosts_unreadable`, `hosts_unsaved`.
    """
    if NAME.fullmatch(name) is None or name.lower() in TAKEN:
        raise fault(
            "host_name",
            f"{name[:60]!r} cannot be the name of a place",
            "A name has letters, digits, `.`, `_` and `-`, and is none that a path begins with already",
            "Choose another one, such as `box`",
        )
    wanted = load() | {name: check_host(address)}
    kept = _without(_text(), name).rstrip()
    block = f'["{name}"]\naddress = {msgspec.json.encode(address).decode()}\n'
    _write(f"{kept}\n\n{block}" if kept else block, wanted)


def remove(name: str) -> str:
    """Forget a host, and return its address; nothing on it is touched. Raises EngineError `host_unknown`."""
    wanted = load()
    address = wanted.pop(name, None)
    if address is None:
        raise fault("host_unknown", f"There is no place called {name[:60]}", remedy="See `qwill hosts list`")
    _write(_without(_text(), name), wanted)
    return address


def _without(text: str, name: str) -> str:
    """The text without this table; comments elsewhere stay."""
    kept, inside = [], False
    for line in text.splitlines(keepends=True):
        header = _HEADER.match(line)
        if header:
            inside = (header[1] or header[2]) == name
        if not inside:
            kept.append(line)
    return "".join(kept)


def _text() -> str:
    try:
        return path().read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def _write(text: str, wanted: dict[str, str]) -> None:
    """Write what says exactly this, or nothing."""
    try:
        if read(text) != wanted:
            raise _unreadable("It is written in a way that cannot be changed from here")
        write_atomic(path(), text.encode())
    except OSError as error:
        raise fault(
            "hosts_unsaved",
            "The list of hosts could not be saved",
            error.strerror or str(error),
            f"Make {path()} writable, and free some space",
        ) from error


def _unreadable(why: str) -> EngineError:
    return fault("hosts_unreadable", f"{path()} cannot be read", why, "Correct it, or move it away")
