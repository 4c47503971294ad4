"""What the disk says about a run's files, in words a person can act on."""

from __future__ import annotations

import errno
from pathlib import Path

from engine.protocol.errors import EngineError, fault

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No space, no quota, or past the largest file that is allowed."""


def unwritten(what: str, path: Path, error: OSError) -> EngineError:
    """The fault of a file of a run that could not be written; `what` is e.g. "the run's log"."""
    if error.errno in FULL:
        return fault(
            "disk_full",
            f"The disk is full, so {what} could not be written",
            f"{path} could not grow",
            "Free some space, then start the run again",
            retryable=True,
        )
    return fault(
        "run_unwritable",
        f"{what[0].upper()}{what[1:]} could not be written to {path}",
        error.strerror or str(error),
        "Make the folder writable, or set XDG_DATA_HOME to a folder that is",
    )


def run_unknown(ref: str) -> EngineError:
    """No run is called so."""
    return fault("run_unknown", f"There is no run called {ref[:100]}", remedy="See `qwill runs list`")
