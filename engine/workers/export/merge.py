"""A merged model folder: the base's weights with the adapter added, 16 bits, as transformers reads it."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import torch

from engine.adapter_works import ExportJob, Progress
from engine.models.headers import INDEX, read_json
from engine.protocol.errors import EngineError, fault
from engine.workers.export.merged_weights import MergedWeights
from engine.workers.export.peft_files import read_adapter
from engine.workers.safe_file import DTYPES, write_safetensors

COPIED = (
    *("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "merges.txt"),
    *("special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "chat_template.json"),
    *("generation_config.json", "preprocessor_config.json", "processor_config.json"),
    *("video_preprocessor_config.json", "LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE"),
)
"""Files of the base that its merged twin needs; no code is among them."""


def opened(job: ExportJob) -> MergedWeights:
    """The base's tensors with the adapter added. Raises EngineError."""
    config = read_json(Path(job.model.path) / "config.json")
    adapter = read_adapter(Path(job.adapter.path), job.adapter.name, job.weight)
    tied = bool(
        config.get("tie_word_embeddings", (config.get("text_config") or {}).get("tie_word_embeddings"))
    )
    return MergedWeights(Path(job.model.path), job.model.name, adapter, job.adapter.name, tied=tied)


def write_merged(job: ExportJob, part: Path, progress: Progress, cancelled: threading.Event) -> None:
    """Fill the folder `part`, one tensor in memory at a time. Raises EngineError, OSError."""
    base = Path(job.model.path)
    kept = torch.float16 if job.model.dtype == "float16" else torch.bfloat16
    with opened(job) as weights:
        total, done = len(weights.names), 0

        def get(name: str) -> torch.Tensor:
            nonlocal done
            if cancelled.is_set():
                raise stopped()
            progress(done / total, "merging the weights")
            done += 1
            return weights.get(name)

        places: dict[str, str] = {}
        for file, table in weights.tables.items():
            entries = [
                (name, tuple(entry["shape"]), _kept(DTYPES.get(entry["dtype"]), kept))
                for name, entry in table.items()
            ]
            with (part / file.name).open("wb") as written:
                write_safetensors(written, entries, get)
                written.flush()
                os.fsync(written.fileno())
            places |= dict.fromkeys(table, file.name)
        if (base / INDEX).is_file():
            total_size = sum((part / file.name).stat().st_size for file in weights.files)
            index = {"metadata": {"total_size": total_size}, "weight_map": places}
            (part / INDEX).write_text(json.dumps(index, indent=2))
    copy_small_files(base, part, str(kept).removeprefix("torch."))


def copy_small_files(base: Path, part: Path, dtype: str) -> None:
    """Config, tokenizer, chat template, generation config and licence."""
    config = read_json(base / "config.json")
    for table in (config, config.get("text_config")):
        if isinstance(table, dict) and ("dtype" in table or "torch_dtype" in table):
            table.pop("torch_dtype", None)
            table["dtype"] = dtype
    (part / "config.json").write_text(json.dumps(_own(config), indent=2))
    for name in COPIED:
        if (base / name).is_file():
            shutil.copyfile(base / name, part / name)


def stopped() -> EngineError:
    """The EngineError of an export that was cancelled."""
    return fault("cancelled", "The export was stopped; nothing of it is kept")


def _own(config: dict[str, Any]) -> dict[str, Any]:
    """Without what names code: no Python file is copied."""
    return {key: value for key, value in config.items() if key != "auto_map"}


def _kept(stored: torch.dtype | None, wanted: torch.dtype) -> torch.dtype:
    """16 bits for what is a number with a point; counters and masks stay as they are."""
    if stored is None:
        raise fault("model_broken", "The base's weights are of a type that cannot be merged into")
    return wanted if stored.is_floating_point else stored
