"""Races on disk: `.races/GROUP.json` in the runs' folder, each file the old or the new one."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import msgspec

from engine.files import write_atomic
from engine.protocol.errors import EngineError, fault
from engine.protocol.race import RaceInfo
from engine.runs.faults import unwritten
from engine.runs.folder import runs_dir

logger = logging.getLogger(__name__)
NAME = re.compile(r"(?:race|sweep)-(\d{1,9})")


def fresh_name(*, turns: bool, taken: set[str]) -> str:
    """`race-3`: no race and no run has this group."""
    kind = "race" if turns else "sweep"
    known = taken | {path.stem for path in _folder().glob("*.json")}
    numbers = [int(match[1]) for group in known if (match := NAME.fullmatch(group))]
    return f"{kind}-{max(numbers, default=0) + 1}"


def save(race: RaceInfo) -> None:
    """Raises EngineError `disk_full` or `run_unwritable`; the last state is kept then."""
    path = _folder() / f"{race.group}.json"
    try:
        write_atomic(path, msgspec.json.format(msgspec.json.encode(race)))
    except OSError as error:
        raise unwritten("the race", path, error) from error


def load(group: str) -> RaceInfo | None:
    """None where there is none of this name, or none that can be read."""
    if NAME.fullmatch(group) is None:
        return None
    try:
        return msgspec.json.decode((_folder() / f"{group}.json").read_bytes(), type=RaceInfo)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        logger.warning("the race %s cannot be read: %s", group, error)
        return None


def load_all() -> list[RaceInfo]:
    """The oldest first."""
    found = [load(path.stem) for path in _folder().glob("*.json")]
    return sorted((race for race in found if race is not None), key=lambda race: race.created)


def _folder() -> Path:
    path = runs_dir() / ".races"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise unwritten("the races' folder", path, error) from error
    return path


def unknown(group: str) -> EngineError:
    """The EngineError for a race that is not there."""
    return fault(
        "race_unknown",
        f"There is no race {group}" if group else "There is no race yet",
        remedy="`qwill runs list` shows all runs, and `qwill race --help` how one is started",
    )
