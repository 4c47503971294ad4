"""The folder of a run: `run.toml`, `info.json`, `events.jsonl`, `memory.jsonl` and, later, `adapter/`."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import shutil
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec.structs import replace

from engine.data.spec_file import dump_spec
from engine.files import sync_folder, write_atomic
from engine.paths import data_dir
from engine.protocol.errors import fault
from engine.protocol.runs import RunInfo
from engine.runs import log
from engine.runs.faults import run_unknown, unwritten

logger = logging.getLogger(__name__)
SPEC, INFO, ADAPTER = "run.toml", "info.json", "adapter"
ID = re.compile(r"(\d{4,9})-[a-z0-9-]{1,32}")
"""A counter and what the name leaves of itself: sortable, short, and safe as a file's name."""
_COUNTER = ".counter"


def runs_dir() -> Path:
    """Where the runs are."""
    return _private(data_dir() / "runs")


def trash_dir() -> Path:
    """Where deleted ones are."""
    return _private(data_dir() / "trash" / "runs")


def folder(run: str) -> Path:
    """Of a run by its whole id, there or not; raises EngineError `run_unknown` for what is no id."""
    if ID.fullmatch(run) is None:
        raise run_unknown(run)
    return runs_dir() / run


def log_path(run: str) -> Path:
    """The run's event log."""
    return folder(run) / log.NAME


def number(run: str) -> int:
    """The counter in an id."""
    found = ID.fullmatch(run)
    return int(found[1]) if found else 0


def create(info: RunInfo, fill: Callable[[Path, RunInfo], RunInfo] | None = None) -> RunInfo:
    """Store a new run and give it its id. The folder appears whole or not at all, and is on disk then.

    `fill` makes the folder of a run that has files already, and returns what is known of it then.
    Raises EngineError `disk_full` or `run_unwritable`.
    """
    place = runs_dir()
    try:
        with _counted(place) as count:
            info = replace(info, id=f"{count:04d}-{slug(info.name)}")
            fresh = place / f".new-{info.id}"
            shutil.rmtree(fresh, ignore_errors=True)
            try:
                info = (fill or _fill)(fresh, info)
                os.rename(fresh, place / info.id)
            except BaseException:
                shutil.rmtree(fresh, ignore_errors=True)
                raise
            sync_folder(place)
    except OSError as error:
        raise unwritten("the run", place, error) from error
    return info


def save(info: RunInfo) -> None:
    """Write what is known of a run. Raises EngineError; the last state is kept then."""
    path = folder(info.id) / INFO
    try:
        write_atomic(path, msgspec.json.format(msgspec.json.encode(info)))
    except OSError as error:
        raise unwritten("the run's state", path, error) from error


def load_all() -> list[RunInfo]:
    """Every run, newest first. One that cannot be read is left out, with a line in the engine's log."""
    found = []
    for path in runs_dir().iterdir():
        if path.is_dir() and ID.fullmatch(path.name):
            info = load(path)
            if info is None:
                logger.warning("%s cannot be read as a run", path)
            else:
                found.append(info)
    return sorted(found, key=lambda info: number(info.id), reverse=True)


def load(path: Path) -> RunInfo | None:
    """What is known of a run: from info.json, or else from its log's last word."""
    info: RunInfo | None
    try:
        info = msgspec.json.decode((path / INFO).read_bytes(), type=RunInfo)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        info = _from_log(path / log.NAME)
    return None if info is None else replace(info, id=path.name)


def adapter_size(run: str) -> int:
    """Bytes of the adapter that a run saved; 0 without one."""
    try:
        return sum(path.stat().st_size for path in (folder(run) / ADAPTER).iterdir() if path.is_file())
    except OSError:
        return 0


def has_adapter(run: str) -> bool:
    """Whether an adapter was saved; its weights are written last."""
    return (folder(run) / ADAPTER / "adapter_model.safetensors").is_file()


def discard(run: str) -> None:
    """Move a run to the trash. Raises EngineError `run_unknown` or `run_unwritable`."""
    with contextlib.suppress(OSError):
        os.utime(folder(run))  # its days in the trash count from now on, also where a kill comes next
    _move(folder(run), trash_dir() / run)


def restore(run: str) -> RunInfo:
    """Bring a run back from the trash. Raises EngineError `run_unknown` or `run_unwritable`."""
    place = folder(run)
    if not place.exists():
        _move(trash_dir() / run, place)
    info = load(place)
    if info is None:
        raise fault("run_unreadable", f"{place} cannot be read as a run", remedy="See what is in it")
    return info


def slug(name: str) -> str:
    """What a name leaves in an id: `Ünï corn!` is `uni-corn`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:32].rstrip("-") or "run"


def _fill(path: Path, info: RunInfo) -> RunInfo:
    path.mkdir(mode=0o700)
    write_atomic(path / SPEC, dump_spec(info.spec))
    write_atomic(path / INFO, msgspec.json.format(msgspec.json.encode(info)))
    writer = log.LogWriter(path / log.NAME)
    try:
        writer.run(info)
    finally:
        writer.close()
    sync_folder(path)
    return info


@contextmanager
def _counted(place: Path) -> Iterator[int]:
    """The next number, for one holder at a time; a number is never given twice, not even after a delete."""
    with open(place / _COUNTER, "a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        last = file.read(20).strip()
        taken = [number(path.name) for where in (place, trash_dir()) for path in where.iterdir()]
        count = max(int(last) if last.isdigit() else 0, *taken, 0) + 1
        file.truncate(0)
        file.write(b"%d\n" % count)
        file.flush()
        yield count


def _from_log(path: Path) -> RunInfo | None:
    info = None
    try:
        for line in log.lines(path):
            info = line.run or info
    except OSError:
        return None
    return info


def _move(source: Path, target: Path) -> None:
    if not source.is_dir():
        raise run_unknown(source.name)
    try:
        os.rename(source, target)
        sync_folder(source.parent)
        sync_folder(target.parent)
    except OSError as error:
        raise unwritten("the run", target, error) from error


def _private(path: Path) -> Path:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise unwritten("the runs' folder", path, error) from error
    return path
