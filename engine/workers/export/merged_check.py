"""Loads a merged folder anew and compares it with the live model."""

from __future__ import annotations

import threading
from pathlib import Path

import torch

from engine.adapter_works import Progress, Reference
from engine.backend import LoadSpec
from engine.models.describe import describe
from engine.monitor.available import available_ram
from engine.protocol.adapters import Check
from engine.protocol.errors import EngineError
from engine.protocol.specs import ModelInfo
from engine.workers.device import DTYPES, give_back_memory
from engine.workers.export.compare import greedy, judge, place_all, unchecked
from engine.workers.loaded import LoadedModel, load

SPARE = 1 << 29
"""Bytes that stay free beside the merged model."""


def check_merged(
    told: Reference, folder: Path, base: ModelInfo, progress: Progress, cancelled: threading.Event
) -> Check:
    """Forward the live model's replies through the folder's own weights. Raises EngineError `cancelled`."""
    info = describe(folder, "merged", "merged", "folder")
    dtype = told.dtype or "float32"
    need = info.parameters * DTYPES[dtype].itemsize + SPARE
    free = available_ram()
    if need > free:
        return unchecked(f"loading it needs about {need / 2**30:.1f} GiB, {free / 2**30:.1f} are free")
    try:
        spec = LoadSpec(info, dtype)
        merged = load(spec, 0, lambda share, _: progress(0.8 + 0.1 * share, "loading it anew"), cancelled)
        progress(0.9, "comparing with the live model")
        return judge(told, _rows(told, merged, cancelled), "bf16" if base.dtype != "float16" else "f16")
    except EngineError as error:
        if error.info.code == "cancelled":
            raise
        return Check(done=True, words=f"NOT loadable: {error.info.sentence()}")
    finally:
        give_back_memory()


def _rows(told: Reference, merged: LoadedModel, cancelled: threading.Event) -> list[list[dict[int, float]]]:
    rows = []
    with torch.inference_mode():
        for ids, start in zip(told.ids, told.starts, strict=True):
            reply = ids[start:]
            _, logs = greedy(merged, merged.model, ids[:start], len(reply), cancelled, forced=reply)
            rows.append([dict(place_all(row)) for row in logs])
    return rows
