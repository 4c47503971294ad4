"""Makes a run of another engine one of this engine's, from files that are in the depot."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec.structs import replace

from engine.data.spec_file import dump_spec
from engine.files import sync_folder, write_atomic
from engine.models.adapters import WEIGHTS
from engine.models.trained import RESULT
from engine.parcels import depot, handed
from engine.parcels.names import is_hash, require_taken, wrong
from engine.protocol.errors import fault
from engine.protocol.parcels import KeepRun, KeptFile
from engine.protocol.runs import ENDED_STATES, RunInfo
from engine.runs import folder, log

_ORIGIN = re.compile(r"[^\x00-\x20\x7f/]{1,200}/\d{4,9}-[a-z0-9-]{1,32}")


def check(command: KeepRun) -> None:
    """Raises EngineError `parcel_wrong` for names and hashes that must not reach a disk."""
    if _ORIGIN.fullmatch(command.origin) is None or not command.origin.isprintable():
        raise wrong("It does not say which run of which machine it is")
    names = [require_taken(each.name) for each in command.files]
    if len(set(names)) != len(names) or len(names) > handed.MOST:
        raise wrong("A file is named twice, or there are too many")
    for each in command.files:
        if not is_hash(each.sha256) or each.name in handed.OWN:
            raise wrong(f"{each.name} has no SHA-256, or is written here")


def at_rest(command: KeepRun) -> RunInfo:
    """The run as it is told here: it has ended, whatever it does where it came from."""
    run = command.run
    ended = run.state in ENDED_STATES
    return replace(
        run,
        id="",
        state=run.state if ended else "stopped",
        phase="end",
        name=run.name or run.spec.name,
        place=0,
        pause="",
        idle=False,
        eta_s=None,
        adapter="",
        whole="",
        origin=command.origin,
    )


def gather(files: Iterable[KeptFile]) -> dict[str, Path]:
    """Where each file lies in the depot. Raises EngineError `parcel_missing`."""
    found = {each.name: depot.path_of(each.sha256) for each in files}
    missing = next((name for name, path in found.items() if path is None), None)
    if missing is not None:
        raise fault(
            "parcel_missing",
            f"{missing} has not arrived",
            remedy="Pull the run again: what came is kept",
            retryable=True,
        )
    return {name: path for name, path in found.items() if path is not None}


def fill(place: Path, info: RunInfo, files: dict[str, Path]) -> RunInfo:
    """Put a run's files in its new folder, and what is known of it beside them. Raises OSError."""
    place.mkdir(mode=0o700)
    for name, source in files.items():
        target = place / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _link(source, target)
    if f"{folder.ADAPTER}/{WEIGHTS}" in files:
        info = replace(info, adapter=info.id)
    if f"{RESULT}/config.json" in files:
        info = replace(info, whole=str(folder.runs_dir() / info.id / RESULT))
    write_atomic(place / folder.SPEC, dump_spec(info.spec))
    write_atomic(place / folder.INFO, msgspec.json.format(msgspec.json.encode(info)))
    writer = log.LogWriter(place / log.NAME)
    try:
        writer.run(info)
    finally:
        writer.close()
    for below in (place / each for each in handed.BELOW):
        if below.is_dir():
            sync_folder(below)
    sync_folder(place)
    return info


def same(known: RunInfo, command: KeepRun) -> bool:
    """Whether an earlier copy has all that this one has. Raises OSError."""
    told = at_rest(command)
    if (known.step, known.state) != (told.step, told.state):
        return False
    here = {each.name: each.sha256 for each in handed.of_run(folder.folder(known.id))}
    # The log has gone on with a line of ours.
    return all(here.get(each.name) == each.sha256 for each in command.files if each.name != log.NAME)


def _link(source: Path, target: Path) -> None:
    """The log is written on: it gets bytes of its own."""
    if target.name != log.NAME:
        try:
            os.link(source, target)
            return
        except OSError:
            pass  # a file system without links
    shutil.copyfile(source, target)
    target.chmod(0o600)
