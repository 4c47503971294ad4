"""What all commands share."""

from __future__ import annotations

from typing import ClassVar

import msgspec


class Done(msgspec.Struct, frozen=True):
    """The answer of a command that has nothing to say but that it worked."""


class Command(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="do"):
    """Base of all commands; the tag on the wire is the class's name."""

    Result: ClassVar[type] = Done
