"""What a reply is asked with, and what comes back piece by piece, whatever the server's dialect."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from engine.backend import Turn
from engine.protocol.specs import ChatSettings, ModelInfo
from engine.servers.kinds import Kind


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """The server's own numbers; None where it says nothing. Tokens and seconds."""

    prompt: int | None = None
    cached: int | None = None
    tokens: int | None = None
    thinking: int | None = None
    decode_s: float | None = None
    """Time that the new tokens took."""


class Piece(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step of a reply."""

    thinking: str = ""
    """What the server itself calls thinking."""
    text: str = ""
    finish: str = ""
    """As the server says it: stop, length and others; empty while it goes on."""
    usage: Usage | None = None
    error: str = ""
    """The server's words when it fails in the middle."""


class Question(msgspec.Struct, frozen=True):
    """One request for a reply, before it is put into a server's words."""

    model: str
    """As the server calls it."""
    info: ModelInfo
    turns: tuple[Turn, ...]
    settings: ChatSettings
    think: bool
    begun: str = ""
    """The text of a reply that is continued."""


class Dialect(Protocol):
    """How one kind of server is asked."""

    def path(self, root: str, url: str) -> str:
        """Where questions go."""
        ...

    def body(self, question: Question, kind: Kind) -> dict[str, Any]:
        """The request as JSON."""
        ...

    def piece(self, answer: dict[str, Any]) -> Piece:
        """One object of the stream."""
        ...


def whole(value: Any) -> int | None:
    """A count, if it is one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53 else None


def text(value: Any) -> str:
    """A text, if it is one."""
    return value if isinstance(value, str) else ""


def table(value: Any) -> dict[str, Any]:
    """An object, if it is one."""
    return value if isinstance(value, dict) else {}
