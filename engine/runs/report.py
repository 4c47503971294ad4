"""The report of a run: `report.json` in its folder."""

from __future__ import annotations

from pathlib import Path

import msgspec

from engine.files import write_atomic
from engine.protocol.report import RunReport

NAME = "report.json"


def write(folder: Path, report: RunReport) -> None:
    """Whole or not there. Raises OSError."""
    write_atomic(folder / NAME, msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")


def read(folder: Path) -> RunReport | None:
    """None where there is none, or none that makes sense."""
    try:
        return msgspec.json.decode((folder / NAME).read_bytes(), type=RunReport)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
