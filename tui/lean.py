"""Imports Textual and asyncio without what the screen has no use for: an eighth of all that it imports."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from tui import environment  # noqa: F401  # Textual reads it while it is imported

_PALETTE = "textual.command"
_NAMES = ("CommandListItem", "CommandPalette", "DiscoveryHit", "Hit", "Hits", "Provider", "SimpleProvider")


def import_textual() -> None:
    """Import `textual.app` without Textual's own palette and the widgets that it is made of; ours is another.

    Whoever asks for `textual.command` later gets the real one.
    """
    if "textual.app" in sys.modules or _PALETTE in sys.modules:
        return
    palette = ModuleType(_PALETTE)
    vars(palette).update({name: type(name, (), {}) for name in _NAMES})
    sys.modules[_PALETTE] = palette
    try:
        importlib.import_module("textual.app")
    except (ImportError, AttributeError, TypeError):  # another Textual than we know: import it whole
        for name in [name for name in sys.modules if name.partition(".")[0] == "textual"]:
            del sys.modules[name]
    finally:
        sys.modules.pop(_PALETTE, None)


def import_asyncio() -> None:
    """Import asyncio without ssl: a screen speaks to a socket of this machine.

    Not for a process that runs the engine too, which may fetch something.
    """
    if sys.modules.keys().isdisjoint({"asyncio", "ssl"}):
        sys.modules["ssl"] = None  # type: ignore[assignment]
        try:
            importlib.import_module("asyncio")
        finally:
            del sys.modules["ssl"]
