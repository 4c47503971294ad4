"""Lines of the line itself, between those of the protocol: that Qwill answers there, and why it left.

A shell's greeting may come before the first one. The protocol's lines begin with a brace, ours with #qwill.
"""

from __future__ import annotations

import msgspec

from engine.protocol.errors import ErrorInfo

MARK = b"#qwill "
MISSING = "missing"
"""What the command that looks for Qwill says where it finds none."""


class Here(msgspec.Struct, frozen=True, omit_defaults=True, tag=True, tag_field="is"):
    """Qwill answers; bytes of the engine follow."""

    version: str
    protocol: int
    found: str = ""
    """Path by which it was found, to be remembered."""


class Gone(msgspec.Struct, frozen=True, omit_defaults=True, tag=True, tag_field="is"):
    """The engine there is out of reach, or could not be started."""

    error: ErrorInfo
    dead: bool = False
    """Whether its process is gone."""


class Missing(msgspec.Struct, frozen=True, tag=True, tag_field="is"):
    """There is no Qwill to be found."""


_decoder = msgspec.json.Decoder(Here | Gone)


def written(note: Here | Gone) -> bytes:
    """A line, with a newline before it: a greeting may have ended without one."""
    return b"\n" + MARK + msgspec.json.encode(note) + b"\n"


def read(line: bytes) -> Here | Gone | Missing | None:
    """What a line says; None where it is none of ours."""
    if not line.startswith(MARK):
        return None
    text = line[len(MARK) :].strip()
    if text == MISSING.encode():
        return Missing()
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
