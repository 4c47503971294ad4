"""Tiny random models of real architectures, and a tiny byte-level tokenizer, built offline into a folder."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from engine.models.describe import describe
from engine.protocol.specs import MessageState, ModelInfo, Part, ReplyStats

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
CONTEXT = 1024
WINDOW = 12
"""Sliding window, in tokens, of the models that have one: shorter than any prompt of the tests."""
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TAGS = ["<think>", "</think>"]
CORPUS = [
    "the quick brown fox jumps over the lazy dog, and the dog sleeps on",
    "What is the sum of one and two? It is three.",
    "user assistant system hello there, how are you today?",
]

_BASE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": CONTEXT,
    "tie_word_embeddings": False,
}
_MOE = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
    "decoder_sparse_step": 1,
    "norm_topk_prob": True,
}
_HYBRID = {
    "layer_types": ["linear_attention", "full_attention", "linear_attention"],
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_conv_kernel_dim": 4,
}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "qwen2": {},
    "qwen2_moe": _MOE,
    "qwen3": {},
    "qwen3_moe": _MOE,
    "qwen3_5_text": _HYBRID,
    "llama": {},
    "mistral": {"sliding_window": WINDOW},
    "falcon": {"new_decoder_architecture": True, "num_kv_heads": 2, "head_dim": None},
    "olmo2": {},
    "gemma3_text": {
        "sliding_window": WINDOW,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        "query_pre_attn_scalar": 8,
    },
}
"""model_type to what its config needs beside the common sizes."""
VISION: dict[str, dict[str, Any]] = {
    "qwen3_5": {
        "vision_config": {
            "depth": 1,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_heads": 2,
            "out_hidden_size": 32,
            "patch_size": 4,
            "num_position_embeddings": 16,
        },
        **dict.fromkeys(
            ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id"), 1
        ),
    },
    "gemma3": {
        "vision_config": {
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 16,
            "patch_size": 4,
        },
        "mm_tokens_per_image": 4,
        **dict.fromkeys(("image_token_index", "boi_token_index", "eoi_token_index"), 1),
    },
}
"""model_type of checkpoints with a vision tower, whose text part is the type with `_text` behind it."""


def tiny_tokenizer(
    folder: Path, template: str | None = "qwen3", *, tags: bool = True
) -> PreTrainedTokenizerFast:
    """A byte-level BPE of some 330 entries: most letters beyond ASCII are split over several tokens.

    `template`: the name of a file in tests/fixtures, or the template's own source; None writes none. `tags`:
    whether the thinking tags are tokens.
    """
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(CORPUS, trainer)
    if tags:
        bpe.add_tokens(TAGS)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>", bos_token="<|endoftext|>"
    )
    tokenizer.save_pretrained(folder)
    if template is not None:
        file = FIXTURES / f"{template}_template.jinja"
        source = file.read_text() if "{" not in template else template
        (folder / "chat_template.jinja").write_text(source)
    return tokenizer


def tiny_model(
    folder: Path,
    family: str = "qwen3",
    *,
    template: str | None = "qwen3",
    seed: int = 0,
    spread: float = 0.3,
    silent: bool = True,
    tags: bool = True,
    **changes: Any,
) -> ModelInfo:
    """Write a random model of this type, float32, with its tokenizer; returns it as discovery would.

    `spread` is the standard deviation of the weights, large enough that no two logits are close. `silent`
    keeps the special tokens out of greedy replies, which would otherwise end at random.
    A change to None leaves that key out of the config.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tiny_tokenizer(folder, template, tags=tags)
    with torch.random.fork_rng(devices=()):  # some families draw vectors, which stay as they are drawn
        torch.manual_seed(seed)
        model = _blank(family, len(tokenizer), tokenizer.eos_token_id, changes)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, spread, generator=draw)
        if silent:
            model.get_output_embeddings().weight[: len(SPECIAL)] = 0.0
            if tags:
                model.get_output_embeddings().weight[tokenizer.convert_tokens_to_ids(TAGS)] = 0.0
    model.save_pretrained(folder)
    return describe(folder, "tiny", "Tiny", "folder")


def _blank(family: str, vocabulary: int, end: int, changes: dict[str, Any]) -> PreTrainedModel:
    sizes = {**_BASE, **ARCHITECTURES.get(family, ARCHITECTURES.get(f"{family}_text", {})), **changes}
    sizes = {key: value for key, value in sizes.items() if value is not None}
    sizes |= {"vocab_size": vocabulary, "bos_token_id": 0, "eos_token_id": end, "pad_token_id": 0}
    if family in VISION:
        config = CONFIG_MAPPING[family](text_config=sizes, **VISION[family], eos_token_id=end)
        return AutoModelForImageTextToText.from_config(config, dtype=torch.float32)
    return AutoModelForCausalLM.from_config(CONFIG_MAPPING[family](**sizes), dtype=torch.float32)


def set_generation(folder: Path, **values: Any) -> None:
    """Replace generation_config.json, keeping the end token."""
    path = folder / "generation_config.json"
    old = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({"eos_token_id": old.get("eos_token_id"), **values}))


class RecordingSink:
    """A ReplySink that keeps what it gets; can press Stop or F6 by itself after so many characters."""

    def __init__(self, *, stop_after: int | None = None, answer_after: int | None = None) -> None:
        self.cancelled = threading.Event()
        self.answer_now = threading.Event()
        self.states: list[MessageState] = []
        self.pieces: list[tuple[Part, str]] = []
        self.reports: list[ReplyStats] = []
        self._stop_after = stop_after
        self._answer_after = answer_after

    def moved(self, state: MessageState) -> None:
        self.states.append(state)

    def text(self, part: Part, text: str) -> None:
        self.pieces.append((part, text))
        length = sum(len(piece) for _, piece in self.pieces)
        if self._stop_after is not None and length >= self._stop_after:
            self.cancelled.set()
        if self._answer_after is not None and length >= self._answer_after:
            self.answer_now.set()

    def stats(self, stats: ReplyStats) -> None:
        self.reports.append(stats)

    def all(self, part: Part) -> str:
        """One part's text, put together."""
        return "".join(text for other, text in self.pieces if other == part)
