"""The checkpoints of a run: folders that are whole or not there, listed, verified and pruned. No torch.

    checkpoints/step-000120/
        manifest.json        {"files": {name: {"bytes": n, "sha256": hex}}, "step": 120, ...}, written last
        adapter/...          a PEFT folder, as the chat takes it
        ...                  the optimiser, generators and place in the data, as the loop writes them

A writer fills `checkpoints/.step-000120.tmp`, syncs each file, writes the manifest, and renames the folder.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from pathlib import Path, PurePosixPath

import msgspec
from msgspec.structs import replace

from engine.files import clear_unfinished, replacing, sync_folder, write_atomic
from engine.protocol.errors import EngineError, fault
from engine.protocol.running import Checkpoint

PLACE, MANIFEST, ADAPTER = "checkpoints", "manifest.json", "adapter"
WEIGHTS = "adapter_model.safetensors"
NAMED = re.compile(r"step-(\d{6,9})")
KEPT = 2
"""Newest checkpoints that are kept, beside the best one."""
_MANIFEST_LIMIT = 4 << 20
_PIECE = 1 << 20


class File(msgspec.Struct, frozen=True):
    """One file of a checkpoint."""

    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a checkpoint holds, and on what it was made."""

    step: int
    files: dict[str, File]
    """By path in the folder, with `/`."""
    created: float = 0.0
    """Unix time in seconds."""
    eval_loss: float | None = None
    versions: dict[str, str] = {}
    threads: int = 0
    isa: str = ""
    """What the CPU's kernels are chosen by, e.g. AVX512: another one rounds differently."""
    seal: str = ""
    """SHA-256 of this manifest with an empty seal, as it is written: it vouches for all others."""


def place(run: Path) -> Path:
    """Where the checkpoints of a run's folder are."""
    return run / PLACE


def name(step: int) -> str:
    """Of a checkpoint's folder."""
    return f"step-{step:06d}"


def step_of(folder: Path) -> int:
    """The step in a checkpoint's name; 0 for what is none."""
    found = NAMED.fullmatch(folder.name)
    return int(found[1]) if found else 0


def described(folder: Path) -> dict[str, File]:
    """Sizes and SHA-256 of every file below a folder but its manifest. Raises OSError."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): File(path.stat().st_size, hash_of(path)) for path in files}


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """The last file of a checkpoint. Raises OSError."""
    write_atomic(folder / MANIFEST, _encoded(replace(manifest, seal=_seal(manifest))))


def read_manifest(folder: Path) -> Manifest:
    """Raises EngineError `checkpoint_broken`, with the file that is wrong."""
    path = folder / MANIFEST
    try:
        if path.stat().st_size > _MANIFEST_LIMIT:
            raise _broken(folder, f"{MANIFEST} is too large")
        data = path.read_bytes()
        manifest = msgspec.json.decode(data, type=Manifest)
    except OSError as error:
        raise _broken(folder, f"{MANIFEST} cannot be read: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _broken(folder, f"{MANIFEST} makes no sense: {error}") from error
    if manifest.seal != _seal(manifest) or data != _encoded(manifest):
        raise _broken(folder, f"{MANIFEST} is not what was written")
    return manifest


def _encoded(manifest: Manifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest))


def _seal(manifest: Manifest) -> str:
    return hashlib.sha256(_encoded(replace(manifest, seal=""))).hexdigest()


def verify(folder: Path, *, whole: bool = True) -> Manifest:
    """The manifest of a checkpoint whose files are as it says; `whole` hashes every byte.

    Raises EngineError `checkpoint_broken`, with the file that is wrong.
    """
    manifest = read_manifest(folder)
    if manifest.step != step_of(folder):
        raise _broken(folder, f"{MANIFEST} is of step {manifest.step}")
    for file, told in manifest.files.items():
        why = _wrong(folder, file, told, whole=whole)
        if why:
            raise _broken(folder, f"{file} {why}")
    return manifest


def listing(run: Path, *, whole: bool = False) -> list[Checkpoint]:
    """Every checkpoint of a run's folder, newest first; what cannot be used says why."""
    best = best_step(run)
    return [_entry(run.name, folder, best, whole=whole) for folder in _folders(run)]


def newest(run: Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint of a run's folder that verifies byte for byte, and why others were skipped."""
    skipped: list[str] = []
    for folder in _folders(run):
        try:
            verify(folder)
        except EngineError as error:
            skipped.append(error.info.sentence())
        else:
            return folder, skipped
    return None, skipped


def adapter_folder(run: Path, step: int) -> Path:
    """Of the adapter in a checkpoint that verifies; raises EngineError `checkpoint_broken` or `_unknown`."""
    folder = place(run) / name(step)
    if not folder.is_dir():
        raise fault(
            "checkpoint_unknown",
            f"{run.name} has no checkpoint of step {step}",
            remedy=f"See `qwill runs checkpoints {run.name}`",
        )
    verify(folder)
    return folder / ADAPTER


def best_step(run: Path) -> int:
    """Step of the checkpoint with the lowest evaluation; 0 where none was evaluated. Reads manifests."""
    best, lowest = 0, float("inf")
    for folder in _folders(run):
        try:
            manifest = read_manifest(folder)
        except EngineError:
            continue
        if manifest.eval_loss is not None and manifest.eval_loss <= lowest:
            best, lowest = manifest.step, manifest.eval_loss
    return best


def superfluous(run: Path, *, keep: int = KEPT) -> list[Path]:
    """Checkpoints beside the newest `keep` usable ones and the best. One that is broken is not counted."""
    best, kept, out = best_step(run), 0, []
    for folder in _folders(run):
        try:
            verify(folder, whole=False)
        except EngineError:
            out.append(folder)
            continue
        if kept < keep:
            kept += 1
        elif step_of(folder) != best:
            out.append(folder)
    return out


def leftovers(run: Path) -> list[Path]:
    """Folders that a killed writer left half written."""
    try:
        found = list(place(run).iterdir())
    except OSError:
        return []
    return [path for path in found if path.is_dir() and path.name.startswith(".")]


def publish(source: Path, target: Path) -> None:
    """Copy a PEFT folder, the weights last: a folder without them is not listed. Raises OSError.

    Each file is the old one or the new one, whenever the machine stops.
    """
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    clear_unfinished(target)
    files = sorted(source.iterdir(), key=lambda path: (path.suffix == ".safetensors", path.name))
    for file in files:
        with open(file, "rb") as old, replacing(target / file.name) as new:
            shutil.copyfileobj(old, new, _PIECE)
    sync_folder(target.parent)


def remove(folder: Path) -> None:
    """Delete a checkpoint: it loses its name first, so that nobody takes half of it. Raises OSError."""
    gone = folder.with_name(f".gone-{folder.name.lstrip('.')}")
    shutil.rmtree(gone, ignore_errors=True)
    os.rename(folder, gone)
    sync_folder(folder.parent)
    shutil.rmtree(gone)


def hash_of(path: Path) -> str:
    """SHA-256 of a file. Raises OSError."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(_PIECE):
            found.update(piece)
    return found.hexdigest()


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder; what vanishes meanwhile counts nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            if not path.is_symlink() and path.is_file():
                total += path.stat().st_size
        except OSError:
            continue
    return total


def _folders(run: Path) -> list[Path]:
    """Named ones, newest first."""
    try:
        found = [path for path in place(run).iterdir() if NAMED.fullmatch(path.name) and path.is_dir()]
    except OSError:
        return []
    return sorted(found, key=step_of, reverse=True)


def _entry(run: str, folder: Path, best: int, *, whole: bool) -> Checkpoint:
    step = step_of(folder)
    try:
        manifest = verify(folder, whole=whole)
    except EngineError as error:
        return Checkpoint(step, str(folder), size_of(folder), why=error.info.sentence())
    has_adapter = f"{ADAPTER}/{WEIGHTS}" in manifest.files
    return Checkpoint(
        step,
        str(folder),
        sum(file.bytes for file in manifest.files.values()),
        created=manifest.created,
        eval_loss=manifest.eval_loss,
        best=step == best,
        adapter=f"{run}@{step}" if has_adapter else "",
    )


def _wrong(folder: Path, file: str, told: File, *, whole: bool) -> str:
    """What is wrong with one file; empty when nothing is."""
    parts = PurePosixPath(file)
    if parts.is_absolute() or ".." in parts.parts:
        return "lies outside the checkpoint"
    path = folder / parts
    try:
        size = path.stat().st_size
        if size != told.bytes:
            return f"has {size:,} bytes and should have {told.bytes:,}"
        if whole and hash_of(path) != told.sha256:
            return "is not what was written: its SHA-256 differs"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    return ""


def _broken(folder: Path, why: str) -> EngineError:
    return fault(
        "checkpoint_broken",
        f"The checkpoint {folder.name} cannot be used",
        f"{why}, in {folder}",
        "An earlier one is taken instead",
    )
