"""Commands for servers that answer in place of this machine: named ones, and those found on loopback."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from engine.protocol.command import Command
from engine.protocol.errors import ErrorInfo

ServerKind = Literal[
    "", "vllm", "sglang", "ollama", "llama.cpp", "lmstudio", "foundry", "transformers", "other"
]
"""Which program serves; empty: not known yet."""


class EndpointInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """One server, without its key."""

    name: str
    url: str
    """Up to and with its `/v1`."""
    kind: ServerKind = ""
    version: str = ""
    saved: bool = False
    """Whether it stands in the settings; else it was found on this machine."""
    key: Literal["none", "settings", "file", "environment"] = "none"
    """Where its key comes from."""
    timeout: float = 0.0
    """Seconds of silence after which a reply fails."""
    reachable: bool | None = None
    """None: not asked yet."""
    latency_ms: float = 0.0
    models: tuple[str, ...] = ()
    """As the server names them."""
    warning: str = ""
    """One sentence where the connection is not what it should be: not encrypted, say."""
    error: ErrorInfo | None = None
    """Why it cannot be asked."""


class EndpointList(msgspec.Struct, frozen=True):
    endpoints: tuple[EndpointInfo, ...]


class ListEndpoints(Command, frozen=True, tag=True):
    """Named servers, then those found on loopback; `refresh` asks all of them again."""

    Result: ClassVar[type] = EndpointList
    refresh: bool = False


class AddEndpoint(Command, frozen=True, tag=True):
    """Name a server in the settings, or change the one of this name, and ask it for its models.

    It is kept whether or not it answers now. At most one of the three keys is given.
    """

    Result: ClassVar[type] = EndpointInfo
    name: str
    url: str
    key: str = ""
    """Kept in a file of its own that only its owner can read."""
    key_env: str = ""
    """Name of a variable in the engine's environment that holds it."""
    key_file: str = ""
    """Path of a file that holds it."""
    kind: ServerKind = ""
    """Empty: found out by asking."""
    timeout: float | None = None
    models: tuple[str, ...] = ()
    """Names to offer where the server does not list its models."""

    def __repr__(self) -> str:
        """Without the key."""
        return f"AddEndpoint({self.name!r}, {self.url!r})"


class RemoveEndpoint(Command, frozen=True, tag=True):
    """Take a server out of the settings; `restore` brings back the one that was removed last."""

    Result: ClassVar[type] = EndpointInfo
    name: str
    restore: bool = False


class CheckEndpoint(Command, frozen=True, tag=True):
    """Ask one server now: whether it answers, takes the key, and which models it has."""

    Result: ClassVar[type] = EndpointInfo
    name: str
