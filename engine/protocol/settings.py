"""Commands that change what a person sets for the engine."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from engine.protocol.command import Command
from engine.protocol.fit import FitRules


class KeepFree(Command, frozen=True, tag=True):
    """Leave so much memory to other programs when a model is loaded; kept in settings.toml."""

    Result: ClassVar[type] = FitRules
    gib: Annotated[float, msgspec.Meta(ge=0, le=1e6)] | None = None
    """None: what suits the machine."""
