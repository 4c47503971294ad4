"""Framing: one JSON object a line, at most 1 MiB, and the envelopes that travel in it."""

from __future__ import annotations

from typing import TypeVar, get_args

import msgspec

from engine.protocol.commands import AnyCommand
from engine.protocol.errors import ErrorInfo, fault
from engine.protocol.events import AnyBody
from engine.protocol.specs import Snapshot

PROTOCOL = 2
"""Raised when an old client or engine would misread the other."""
OLDER = PROTOCOL - 1
"""Of an engine that a client can still read runs from, and stop them: an upgrade never waits for a run."""
LINE_LIMIT = 1 << 20
"""Bytes of one line at most, its newline included."""
KEEP_SECONDS = 60.0
"""After which an engine leaves a client that pings and is not heard of any more."""


class Hello(msgspec.Struct, frozen=True, tag=True, tag_field="t"):
    """A client's first line."""

    protocol: int
    version: str
    workbench: bool = False
    """True for a full screen that a person sits at; its model is not evicted without asking."""
    pings: bool = False
    """True for a client over a line that may die unnoticed: it is heard of every KEEP_SECONDS."""


class Request(msgspec.Struct, frozen=True, tag=True, tag_field="t"):
    id: int
    command: AnyCommand


class Ping(msgspec.Struct, frozen=True, tag=True, tag_field="t"):
    """Asks for a Pong, so that a dead link is noticed."""


class Welcome(msgspec.Struct, frozen=True, tag=True, tag_field="t"):
    """The engine's first line; the snapshot was taken at event `seq`."""

    protocol: int
    seq: int
    snapshot: Snapshot


class Refused(msgspec.Struct, frozen=True, tag=True, tag_field="t"):
    """Instead of a Welcome; the engine closes the link after it."""

    error: ErrorInfo
    protocol: int = PROTOCOL


class Reply(msgspec.Struct, frozen=True, tag=True, tag_field="t", omit_defaults=True):
    """Answers the request of this id: one of `result` (typed by the command) and `error`."""

    id: int
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: ErrorInfo | None = None


class Event(msgspec.Struct, frozen=True, tag=True, tag_field="t"):
    seq: int
    at: float
    """Unix time in seconds."""
    body: AnyBody


class Pong(msgspec.Struct, frozen=True, tag=True, tag_field="t"):
    pass


FromClient = Hello | Request | Ping
FromEngine = Welcome | Refused | Reply | Event | Pong

LINE_KINDS = frozenset(kind.__name__ for kind in get_args(FromEngine))
EVENT_KINDS = frozenset(kind.__name__ for kind in get_args(AnyBody))

T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_from_client = msgspec.json.Decoder(FromClient)
_from_engine = msgspec.json.Decoder(FromEngine)


def encode(message: FromClient | FromEngine) -> bytes:
    """One line, newline included. Raises EngineError `line_too_long` beyond LINE_LIMIT."""
    line = _encoder.encode(message) + b"\n"
    if len(line) > LINE_LIMIT:
        raise fault(
            "line_too_long",
            f"A message of {len(line) >> 10} KiB is over the limit of {LINE_LIMIT >> 10} KiB",
            remedy="Shorten the text, or attach it as a file",
        )
    return line


def decode_client(line: bytes) -> FromClient:
    """Parse a client's line; raises EngineError `bad_line` with the place of the fault."""
    return _decode(_from_client, line)


def decode_engine(line: bytes) -> FromEngine:
    """Parse an engine's line; raises EngineError `bad_line` with the place of the fault."""
    return _decode(_from_engine, line)


class _Kind(msgspec.Struct, frozen=True):
    """What is asked of the body of an event: which one it is."""

    kind: str = msgspec.field(name="is", default="")


class _Frame(msgspec.Struct, frozen=True):
    """What is asked of a line: which one it is."""

    t: str = ""
    body: _Kind = _Kind()


_frame = msgspec.json.Decoder(_Frame)


def is_foreign(line: bytes, *, older: bool = False) -> bool:
    """Whether a line that cannot be parsed may be ignored: an event, or a kind of line, of another version.

    `older`: it comes from an engine of the protocol before this one; any of its events may have changed.
    """
    try:
        frame = _frame.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    if frame.t == "Event":
        return older or frame.body.kind not in EVENT_KINDS
    return bool(frame.t) and frame.t not in LINE_KINDS


def _decode(decoder: msgspec.json.Decoder[T], line: bytes) -> T:
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise fault("bad_line", "A line on the link could not be read", str(error)) from error
