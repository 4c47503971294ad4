"""One server as it is set: its address, its key, and how long it may be silent."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from engine.paths import config_dir
from engine.protocol.endpoints import EndpointInfo, ServerKind
from engine.protocol.errors import EngineError, fault

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
TIMEOUT = 300.0
"""Seconds of silence that a reply may have; a long prompt on a slow machine takes minutes."""
KEY_LIMIT = 8192


class Endpoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """A server. Its key never leaves this object but in a request's header."""

    name: str
    url: str
    """Up to and with its `/v1`, no slash at the end."""
    key: str = ""
    key_env: str = ""
    key_file: str = ""
    kind: ServerKind = ""
    timeout: float = TIMEOUT
    models: tuple[str, ...] = ()
    saved: bool = False

    def __repr__(self) -> str:
        """Without the key."""
        return f"Endpoint({self.name!r}, {self.url!r})"

    @property
    def root(self) -> str:
        """The address without `/v1`, where the servers' own paths begin."""
        return self.url.removesuffix("/v1")

    @property
    def place(self) -> str:
        """Host and port, for people."""
        return urlsplit(self.url).netloc

    @property
    def local(self) -> bool:
        """Whether it is this machine."""
        return is_loopback(urlsplit(self.url).hostname or "")

    @property
    def warning(self) -> str:
        """One sentence where others could read along."""
        if self.local or self.url.startswith("https:"):
            return ""
        return f"The connection to {self.place} is not encrypted: others on the way can read the chats"

    def secret(self) -> str:
        """The key; empty when it has none. Raises EngineError `key_missing` or `key_unusable`."""
        if self.key_env:
            found = os.environ.get(self.key_env, "")
            if not found:
                raise self._no_key(
                    f"{self.key_env} is not set where the engine was started",
                    "Set it and restart the engine (`qwill engine stop`)",
                )
        elif self.key_file:
            found = self._from_file()
        else:
            found = self.key
        return self._checked(found.strip())

    def info(self) -> EndpointInfo:
        """What clients may know."""
        source = (
            "environment" if self.key_env else "file" if self.key_file else "settings" if self.key else "none"
        )
        return EndpointInfo(
            self.name,
            self.url,
            self.kind,
            saved=self.saved,
            key=source,  # type: ignore[arg-type]  # one of the four
            timeout=self.timeout,
            models=self.models,
            warning=self.warning,
        )

    def _from_file(self) -> str:
        try:
            with key_path(self.key_file).open(encoding="utf-8") as file:
                return file.read(KEY_LIMIT + 1)
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            raise self._no_key(
                f"Its file cannot be read: {reason}", f"Give the key again: {self._add()}"
            ) from error

    def _checked(self, key: str) -> str:
        if len(key) > KEY_LIMIT or not key.isascii() or not key.isprintable() or " " in key:
            raise fault(
                "key_unusable",
                f"The key of {self.name} cannot be sent",
                "A key is one line of plain letters, digits and signs",
                f"Give it again: {self._add()}",
            )
        return key

    def _no_key(self, detail: str, remedy: str) -> EngineError:
        return fault("key_missing", f"The key of {self.name} is not there", detail, remedy)

    def _add(self) -> str:
        return f"`qwill endpoints add {self.name} {self.url} --key`"


def from_table(name: str, table: Any) -> Endpoint:
    """An endpoint as the settings have it. Raises EngineError `endpoint_wrong`."""
    if not isinstance(table, dict):
        raise _wrong(name, "it is no table")
    try:
        made = msgspec.convert({"name": name, "saved": True} | table, Endpoint)
    except msgspec.ValidationError as error:
        raise _wrong(name, str(error)) from error
    return checked(made)


def checked(endpoint: Endpoint) -> Endpoint:
    """The endpoint with a clean address. Raises EngineError `endpoint_wrong`."""
    if not NAME.fullmatch(endpoint.name):
        raise _wrong(endpoint.name, "a name has letters, digits, dots, dashes and underscores, at most 64")
    if not 1.0 <= endpoint.timeout <= 86400:
        raise _wrong(endpoint.name, "its timeout is not between 1 second and a day")
    if sum(map(bool, (endpoint.key, endpoint.key_env, endpoint.key_file))) > 1:
        raise _wrong(endpoint.name, "it has more than one of key, key_env and key_file")
    return msgspec.structs.replace(endpoint, url=clean_url(endpoint.name, endpoint.url))


def clean_url(name: str, text: str) -> str:
    """An address up to its `/v1`. Raises EngineError `endpoint_wrong`."""
    text = text.strip()
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _wrong(name, f"its address cannot be read: {error}") from error
    if parts.scheme not in ("http", "https") or not host or not text.isprintable():
        raise _wrong(name, "its address does not begin with http:// or https://")
    if parts.username or parts.password:
        raise _wrong(name, "its address holds a password; give that as the key")
    if parts.query or parts.fragment:
        raise _wrong(name, "its address has something behind the path")
    path = parts.path.rstrip("/")
    for tail in ("/chat/completions", "/models"):
        path = path.removesuffix(tail)
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{f':{port}' if port else ''}{path or '/v1'}"


def key_path(text: str) -> Path:
    """Where a key lies; a bare name is one of ours, in the config folder."""
    path = Path(text).expanduser()
    return path if path.is_absolute() else config_dir() / path


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _wrong(name: str, detail: str) -> EngineError:
    return fault(
        "endpoint_wrong",
        f"The server {name[:64]!r} is not set up right",
        detail[:1].upper() + detail[1:],
        "Look at [endpoints] in settings.toml, or see `qwill endpoints add --help`",
    )
