"""Named servers in settings.toml: one table each, `[endpoints.NAME]`. The rest of the file stays as it is."""

from __future__ import annotations

import json
import re
from typing import Any

from msgspec.structs import replace

from engine.files import write_atomic
from engine.paths import config_dir
from engine.servers.endpoint import TIMEOUT, Endpoint, from_table
from engine.settings import read_table
from engine.settings_writing import rewrite, unsaved

TABLE = "endpoints"
KEYS = "keys"
"""Folder of the keys that were given to be kept, a file each that only its owner can read."""


def load() -> tuple[Endpoint, ...]:
    """All named servers. Raises EngineError `settings_wrong` or `endpoint_wrong`."""
    return tuple(from_table(name, table) for name, table in read_table(TABLE).items())


def save(endpoint: Endpoint, key: str = "") -> Endpoint:
    """Write one, in place of what has its name. `key` goes into a file of its own.

    Raises EngineError `settings_unsaved`; then nothing is changed.
    """
    try:
        if key:
            folder = config_dir() / KEYS
            folder.mkdir(mode=0o700, exist_ok=True)
            write_atomic(folder / endpoint.name, key.encode() + b"\n")
            endpoint = _keyed(endpoint)
        _change(endpoint.name, _block(endpoint), _table(endpoint))
        if endpoint.key_file != f"{KEYS}/{endpoint.name}":
            (config_dir() / KEYS / endpoint.name).unlink(missing_ok=True)
    except OSError as error:
        raise unsaved(error.strerror or str(error)) from error
    return endpoint


def remove(endpoint: Endpoint) -> None:
    """Take one out, with the key that was kept for it."""
    try:
        _change(endpoint.name, "", None)
        if endpoint.key_file == f"{KEYS}/{endpoint.name}":
            (config_dir() / KEYS / endpoint.name).unlink(missing_ok=True)
    except OSError as error:
        raise unsaved(error.strerror or str(error)) from error


def _keyed(endpoint: Endpoint) -> Endpoint:
    return replace(endpoint, key="", key_env="", key_file=f"{KEYS}/{endpoint.name}")


def _table(endpoint: Endpoint) -> dict[str, Any]:
    """As the settings have it; what goes without saying is left out."""
    table: dict[str, Any] = {"url": endpoint.url}
    for name in ("key", "key_env", "key_file", "kind"):
        if getattr(endpoint, name):
            table[name] = getattr(endpoint, name)
    if endpoint.timeout != TIMEOUT:
        table["timeout"] = endpoint.timeout
    if endpoint.models:
        table["models"] = list(endpoint.models)
    return table


def _block(endpoint: Endpoint) -> str:
    # A JSON text without astral escapes is a TOML text too, and so is a list of them.
    rows = [f"{name} = {_value(value)}" for name, value in _table(endpoint).items()]
    return f"[{TABLE}.{_quoted(endpoint.name)}]\n" + "\n".join(rows) + "\n"


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"'


def _change(name: str, block: str, wanted: dict[str, Any] | None) -> None:
    """Put a block in place of the table of this name."""

    def changed(text: str) -> str:
        rest = _without(text, name)
        return f"{rest.rstrip()}\n\n{block}" if block and rest.strip() else block or rest

    rewrite(TABLE, name, wanted, changed)


def _without(text: str, name: str) -> str:
    """The text without the lines of one table."""
    head = re.compile(rf"\s*\[\s*{TABLE}\s*\.\s*(\"{re.escape(name)}\"|{re.escape(name)})\s*\]\s*(#.*)?")
    kept: list[str] = []
    inside = False
    for line in text.splitlines(keepends=True):
        if line.lstrip().startswith("["):
            inside = head.fullmatch(line.rstrip("\r\n")) is not None
        if not inside:
            kept.append(line)
    return "".join(kept)
