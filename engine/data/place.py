"""Where the rows of a dataset lie, by its name."""

from __future__ import annotations

from pathlib import Path

from engine.data.lines import unreadable
from engine.data.shipped import PREFIX, shipped_path
from engine.protocol.errors import fault

MARKED = "marked:"
"""Own marked replies; becomes a file before a run is stored (engine.datasets)."""
HUB = "hub:"
"""`hub:OWNER/NAME[:CONFIG][@SPLIT]`; becomes a file likewise."""


def data_path(data: str) -> Path:
    """The file of a dataset; raises EngineError `dataset_unknown`, `data_relative` or `data_unreadable`.

    Only regular files pass: a pipe would hold up whoever opens it.
    """
    if data.startswith(PREFIX):
        return shipped_path(data)
    if not data.strip():
        raise fault("data_missing", "No dataset is chosen", remedy="Give a JSONL file, or shipped:pirate")
    path = Path(data)
    try:
        path = path.expanduser()
        found = path.is_file()
        missing = not path.exists()
    except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL byte, ~ of nobody we know
        raise fault("data_unreadable", f"{data[:200]!r} is no path of a file", str(error)) from error
    if not path.is_absolute():
        raise fault(
            "data_relative",
            f"{data} could lie in any folder, because the engine has no folder of its own",
            remedy="Give the whole path, from / or ~ on",
        )
    if missing:
        raise unreadable(path, FileNotFoundError(2, "There is no such file"))
    if not found:
        raise unreadable(path, OSError(21, "It is a folder or a device, not a file"))
    return path
