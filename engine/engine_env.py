"""The variables of `[engine.env]`: which may be set, and setting them before the engine imports torch."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from engine.protocol.errors import fault

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_LOADERS = ("LD_", "DYLD_", "PYTHON", "BASH", "GCONV_", "GLIBC_", "MALLOC_", "XDG_", "QWILL_", "_RLD")
"""Beginnings of names that change which code a program runs, or where Qwill keeps its files."""
_PLACES = frozenset({"PATH", "HOME", "USER", "LOGNAME", "SHELL", "ENV", "IFS", "TMPDIR", "HSA_TOOLS_LIB"})
_ENDS = ("_PATH", "_PRELOAD", "_LIB", "_LIBS", "_LIBRARY", "_LIBRARIES", "_PLUGIN", "_PLUGINS")
"""Ends of names that mostly say where code is loaded from."""


def refuse_unsafe(env: Mapping[str, str], source: str) -> None:
    """Raise EngineError `settings_wrong` for a name or a value that cannot be set, or may not be."""
    for name, value in env.items():
        if not _NAME.fullmatch(name):
            raise fault(
                "settings_wrong",
                f"{source} names a variable {name!r:.60}, which cannot be one",
                remedy="Use letters, digits and underscores",
            )
        if changes_code(name):
            raise fault(
                "settings_wrong",
                f"{source} sets {name}, which decides what code a program loads or where its files lie",
                "Settings may not do that",
                f"Take {name} out of [engine.env], or set it in the shell that starts Qwill",
            )
        if "\x00" in value:
            raise fault("settings_wrong", f"{source} gives {name} a value with a NUL byte")


def changes_code(name: str) -> bool:
    """Whether a variable of this name can make a program run other code, or keep its files elsewhere."""
    name = name.upper()
    return name in _PLACES or name.startswith(_LOADERS) or name.endswith(_ENDS)


def apply(env: Mapping[str, str]) -> None:
    """Set these variables in this process; what the shell has set already stays."""
    for name, value in env.items():
        os.environ.setdefault(name, value)
