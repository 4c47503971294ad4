"""Tiny random models that see, and images to show them."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from engine.models.describe import describe
from engine.pictures import kept
from engine.pictures.make import make
from engine.protocol.specs import ImageRef, ModelInfo
from tests.support.tiny import SPECIAL, tiny_tokenizer

CONTEXT = 2048
VISION_TOKENS = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
_TOWER = {"depth": 2, "hidden_size": 16, "intermediate_size": 16, "num_heads": 2, "patch_size": 4}
_TOWERS: dict[str, dict[str, Any]] = {
    "qwen2_5_vl": {**_TOWER, "out_hidden_size": 32, "window_size": 16, "fullatt_block_indexes": [1]},
    "qwen3_vl": {
        **_TOWER,
        "out_hidden_size": 32,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0, 1],
    },
}
_TEXT: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]},
}
FAMILIES = sorted(_TOWERS)


def tiny_seeing(folder: Path, family: str, *, seed: int = 0, spread: float = 0.3) -> ModelInfo:
    """Write a random model with a vision tower, float32; returns it as discovery would."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tiny_tokenizer(folder, "qwen25vl", tags=False)
    tokenizer.add_special_tokens({"additional_special_tokens": VISION_TOKENS})
    tokenizer.save_pretrained(folder)
    ids = dict(zip(VISION_TOKENS, tokenizer.convert_tokens_to_ids(VISION_TOKENS), strict=True))
    text = {**_TEXT, "vocab_size": len(tokenizer), "head_dim": 8, "pad_token_id": 0}
    config = CONFIG_MAPPING[family](
        text_config=text,
        vision_config=_TOWERS[family],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        eos_token_id=tokenizer.eos_token_id,
    )
    model = AutoModelForImageTextToText.from_config(config, dtype=torch.float32)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, spread, generator=draw)
        head = model.get_output_embeddings().weight
        head[: len(SPECIAL)] = 0.0
        head[list(ids.values())] = 0.0
    model.save_pretrained(folder)
    measures = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "min_pixels": 64, "max_pixels": 4096}
    (folder / "preprocessor_config.json").write_text(json.dumps(measures))
    return describe(folder, "tiny", "Tiny", "folder")


def drawn(width: int, height: int, seed: int = 0, kind: str = "PNG", **options: Any) -> bytes:
    """A file with a picture of noise in it."""
    draw = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (height, width, 3), generator=draw, dtype=torch.uint8).numpy()
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


def kept_image(width: int, height: int, seed: int = 0, *, name: str = "noise.png") -> ImageRef:
    """An image as the engine keeps it, in memory."""
    return kept.shared.add(name, make(name, drawn(width, height, seed)), saved=False)
