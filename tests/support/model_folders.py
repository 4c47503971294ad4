"""Folders that look like models and adapters from outside: real safetensors headers, no torch."""

from __future__ import annotations

import json
import math
from pathlib import Path
from random import Random
from typing import Any

from engine.models.fingerprint import fingerprint

TEMPLATE = (Path(__file__).resolve().parents[1] / "fixtures" / "qwen3_template.jinja").read_text()
SHAPES = {
    "model.embed_tokens.weight": [32, 8],
    "model.layers.0.self_attn.q_proj.weight": [8, 8],
    "model.layers.0.mlp.up_proj.weight": [16, 8],
}


def safetensors(path: Path, seed: int, shapes: dict[str, list[int]] = SHAPES) -> None:
    """A whole safetensors file of random float32 tensors."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        begin, end = end, end + 4 * math.prod(shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + Random(seed).randbytes(end))


def model_folder(folder: Path, seed: int = 0, *, chat: bool = True) -> Path:
    """A Qwen3 of a few hundred parameters, with or without a chat template."""
    folder.mkdir(parents=True)
    config = {
        "model_type": "qwen3",
        "architectures": ["Qwen3ForCausalLM"],
        "max_position_embeddings": 512,
    }
    (folder / "config.json").write_text(json.dumps(config))
    tokenizer = {"eos_token": "<|im_end|>"} | ({"chat_template": TEMPLATE} if chat else {})
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    safetensors(folder / "model.safetensors", seed)
    return folder


def adapter_folder(
    folder: Path, base: Path | str, *, note: bool = True, seed: int = 1, **config: Any
) -> Path:
    """A PEFT folder; `note`: with our own note of the base's fingerprint beside it."""
    folder.mkdir(parents=True)
    settings = {"peft_type": "LORA", "r": 4, "base_model_name_or_path": str(base)} | config
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    if note:
        mine = {"base_fingerprint": fingerprint(Path(base)), "name": "tale", "loss": 1.25}
        (folder / "qwill.json").write_text(json.dumps(mine))
    safetensors(
        folder / "adapter_model.safetensors", seed, {"lora_A.weight": [4, 8], "lora_B.weight": [8, 4]}
    )
    return folder
