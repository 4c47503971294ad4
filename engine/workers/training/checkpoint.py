"""Checkpoints as the loop writes and reads them: safetensors and JSON, in a folder that is
whole or not there.

    weights.safetensors      all that learns
    optimiser.safetensors    AdamW's moments
    state.json               the Course: step, place in the data, evaluations
    adapter/                 a PEFT folder, as the chat takes it
    manifest.json            sizes, SHA-256, versions, threads, instructions; written last

What a checkpoint is from outside (manifest, order, pruning) is in engine.runs.checkpoints.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.optim import AdamW

from engine.files import replacing, sync_folder, write_atomic
from engine.protocol.errors import EngineError, fault
from engine.runs import checkpoints as shelf
from engine.workers.safe_file import write_safetensors
from engine.workers.training import machine
from engine.workers.training.course import Course
from engine.workers.training.optimiser import moments, restore
from engine.workers.training.student import Student

WEIGHTS, OPTIMISER, STATE = "weights.safetensors", "optimiser.safetensors", "state.json"


def write(
    run: Path, course: Course, student: Student, optimiser: AdamW, adapter: Callable[[Path], None] | None
) -> Path:
    """Write the checkpoint of the course's step, then remove older ones; returns its folder.

    `run`: the run's folder. `adapter` writes the PEFT folder it is given. Raises OSError; then nothing that
    was there before is gone, and nothing half is left.
    """
    folder = shelf.place(run) / shelf.name(course.step)
    temp = folder.with_name(f".{folder.name}.tmp")
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for stale in shelf.leftovers(run):
        shutil.rmtree(stale, ignore_errors=True)
    temp.mkdir(mode=0o700)
    try:
        _fill(temp, course, student, optimiser, adapter)
        _take_place(temp, folder)
    except BaseException:
        shutil.rmtree(temp, ignore_errors=True)
        raise
    with contextlib.suppress(OSError):  # what could not go now goes with the next one
        for old in shelf.superfluous(run):
            shelf.remove(old)
    return folder


def expected(student: Student, *, adapter: bool) -> int:
    """Bytes that a checkpoint takes: the weights, two moments of each, and the adapter's own copy."""
    held = sum(tensor.nbytes for tensor in student.state().values())
    learnt = sum(tensor.nbytes for tensor in student.weights().values())
    return held * (2 if adapter else 1) + 2 * learnt + (64 << 10)


def read(folder: Path, student: Student, optimiser: AdamW) -> tuple[Course, list[str]]:
    """Put a checkpoint's weights and moments into place; returns its course, and how this machine differs.

    Verifies every byte first. Raises EngineError `checkpoint_broken` or `checkpoint_wrong`.
    """
    manifest = shelf.verify(folder)
    try:
        course = msgspec.json.decode((folder / STATE).read_bytes(), type=Course)
        student.load(load_file(folder / WEIGHTS))
        restore(optimiser, student.weights(), load_file(folder / OPTIMISER))
    except (OSError, SafetensorError, msgspec.DecodeError) as error:  # whole, but of another version of us
        raise _unreadable(folder, error) from error
    return course, machine.differences(manifest.versions, manifest.threads, manifest.isa)


def read_weights(folder: Path, student: Student) -> None:
    """Put the weights of a checkpoint into place, and nothing else. Raises EngineError as `read` does."""
    shelf.verify(folder)
    try:
        student.load(load_file(folder / WEIGHTS))
    except (OSError, SafetensorError) as error:
        raise _unreadable(folder, error) from error


def _fill(
    temp: Path, course: Course, student: Student, optimiser: AdamW, adapter: Callable[[Path], None] | None
) -> None:
    _write_tensors(temp / WEIGHTS, student.state())
    _write_tensors(temp / OPTIMISER, moments(optimiser, student.weights()))
    write_atomic(temp / STATE, msgspec.json.format(msgspec.json.encode(course)))
    if adapter is not None:
        adapter(temp / shelf.ADAPTER)
        sync_folder(temp / shelf.ADAPTER)
    manifest = shelf.Manifest(
        course.step,
        shelf.described(temp),
        created=time.time(),
        eval_loss=course.evaluated_now,
        versions=machine.versions(),
        threads=torch.get_num_threads(),
        isa=machine.isa(),
    )
    shelf.write_manifest(temp, manifest)


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    shapes = [(name, tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()]
    with replacing(path) as file:
        write_safetensors(file, shapes, lambda name: tensors[name].cpu())


def _take_place(temp: Path, folder: Path) -> None:
    """Give a written folder its name. A checkpoint of the same step was passed over before: it is damaged."""
    if folder.exists():
        shelf.remove(folder)
    os.rename(temp, folder)
    sync_folder(folder.parent)


def _unreadable(folder: Path, error: Exception) -> EngineError:
    return fault(
        "checkpoint_wrong",
        f"The checkpoint {folder.name} does not fit this run",
        f"{error}, in {folder}",
        "Start the run again, or resume from an earlier checkpoint",
    )
