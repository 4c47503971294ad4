"""A model with an adapter merged in as one GGUF file, and an adapter alone as llama.cpp's LoRA file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from engine.adapter_works import ExportJob, Progress
from engine.chat.template import ChatTemplate
from engine.models.headers import read_json
from engine.protocol.adapters import GgufType
from engine.protocol.errors import fault
from engine.workers.export.gguf_names import architecture, gguf_place, heads_of, rope
from engine.workers.export.gguf_tokenizer import read_tokens
from engine.workers.export.merge import opened, stopped
from engine.workers.export.merged_weights import MergedWeights
from engine.workers.export.peft_files import not_exportable

Q8_BLOCK = 32
"""Values that share a scale in Q8_0."""


class Item(NamedTuple):
    """One tensor of the file, and the base's tensors that it is made of (several: a stack of experts)."""

    name: str
    sources: tuple[str, ...]
    shape: tuple[int, ...]
    kind: str
    """f32, f16, bf16 or q8_0."""


def write_gguf(job: ExportJob, path: Path, progress: Progress, cancelled: threading.Event) -> None:
    """Write the merged model, one tensor in memory at a time. Raises EngineError, OSError."""
    gguf = library()
    config = read_json(Path(job.model.path) / "config.json")
    arch = architecture(config, job.model.name)
    with opened(job) as weights:
        items = list(_items(weights, job.gguf, job.model.name))
        writer = gguf.GGUFWriter(path, arch)
        _add_numbers(writer, config, job, gguf)
        _add_tokenizer(writer, config, job, gguf)
        factors = _long_factors(config)
        if factors is not None:
            writer.add_tensor_info("rope_freqs.weight", factors.shape, factors.dtype, factors.nbytes)
        for item in items:
            _announce(writer, item, gguf)
        _begin(writer)
        if factors is not None:
            writer.write_tensor_data(factors)
        for done, item in enumerate(items):
            if cancelled.is_set():
                writer.close()
                raise stopped()
            progress(done / len(items), "writing the GGUF file")
            parts = [_ordered(weights.get(name), heads_of(name, config)) for name in item.sources]
            tensor = parts[0] if len(parts) == 1 else torch.stack(parts)
            writer.write_tensor_data(packed(tensor, item.kind, gguf))
        writer.close()


def write_gguf_lora(job: ExportJob, path: Path, progress: Progress, cancelled: threading.Event) -> None:
    """Write the adapter alone. Raises EngineError, OSError."""
    gguf = library()
    config = read_json(Path(job.model.path) / "config.json")
    arch = architecture(config, job.model.name)
    with opened(job) as weights:
        touched = [name for name in weights if weights.changed(name)]
        # llama.cpp multiplies by alpha / rank of its own; what differs from that goes into B.
        alpha = float(next((pair.down.shape[0] for name in touched if (pair := weights.pair(name))), 1))
        tensors: dict[str, np.ndarray] = {}
        for done, name in enumerate(touched):
            if cancelled.is_set():
                raise stopped()
            progress(done / len(touched), "writing the adapter")
            pair = weights.pair(name)
            if pair is None or pair.magnitude is not None or pair.embedding:
                raise not_exportable(job.adapter.name, "llama.cpp's adapters hold plain LoRA matrices alone")
            place = gguf_place(name, job.model.name)
            if place.expert >= 0:
                raise not_exportable(job.adapter.name, "It sits on single experts, which llama.cpp stacks")
            up = pair.up * (pair.scale * pair.down.shape[0] / alpha)
            tensors[f"{place.name}.lora_a"] = pair.down.contiguous().numpy()
            tensors[f"{place.name}.lora_b"] = _ordered(up, heads_of(name, config)).contiguous().numpy()
    writer = gguf.GGUFWriter(path, arch)
    writer.add_type("adapter")
    writer.add_name(job.adapter.name)
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    for name, array in tensors.items():
        writer.add_tensor_info(name, array.shape, array.dtype, array.nbytes)
    _begin(writer)
    for array in tensors.values():
        writer.write_tensor_data(array)
    writer.close()


def library() -> Any:
    """The `gguf` package. Raises EngineError `gguf_missing`."""
    try:
        import gguf
    except ImportError as error:
        raise fault(
            "gguf_missing",
            "GGUF files cannot be written yet",
            "The package gguf is not installed",
            'Install it: pip install "qwill[gguf]"',
        ) from error
    return gguf


def packed(tensor: torch.Tensor, kind: str, gguf: Any) -> np.ndarray:
    """The tensor as the file holds it: numbers of that type, or bytes of blocks."""
    array = tensor.float().contiguous().numpy()
    if kind == "f32":
        return array
    if kind == "f16":
        return array.astype(np.float16)
    packed_bytes: np.ndarray = gguf.quants.quantize(array, _kind(kind, gguf))
    return packed_bytes


def _items(weights: MergedWeights, kind: GgufType, model: str) -> Iterator[Item]:
    """The file's tensors, in the base's order; the experts of a layer as one."""
    stacks: dict[str, dict[int, str]] = {}
    for name in weights:
        place = gguf_place(name, model)
        if place.expert >= 0:
            stacks.setdefault(place.name, {})[place.expert] = name
            continue
        shape = weights.shape(name)
        yield Item(place.name, (name,), shape, _held(place.name, shape, kind))
    for name, experts in stacks.items():
        sources = tuple(experts[number] for number in range(len(experts)))
        shape = (len(sources), *weights.shape(sources[0]))
        yield Item(name, sources, shape, _held(name, shape, kind))


def _held(name: str, shape: tuple[int, ...], kind: GgufType) -> str:
    """Norms, biases and routers stay float32; rows that make no whole blocks stay 16 bits."""
    if len(shape) == 1 or "ffn_gate_inp" in name:
        return "f32"
    return "f16" if kind == "q8_0" and shape[-1] % Q8_BLOCK else kind


def _announce(writer: Any, item: Item, gguf: Any) -> None:
    count = int(np.prod(item.shape))
    if item.kind in ("f32", "f16"):
        kind: Any = np.dtype(np.float32 if item.kind == "f32" else np.float16)
        writer.add_tensor_info(item.name, item.shape, kind, count * kind.itemsize)
        return
    raw = _kind(item.kind, gguf)
    block, size = gguf.GGML_QUANT_SIZES[raw]
    in_bytes = (*item.shape[:-1], item.shape[-1] // block * size)
    writer.add_tensor_info(item.name, in_bytes, np.dtype(np.uint8), count // block * size, raw_dtype=raw)


def _begin(writer: Any) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()


def _kind(kind: str, gguf: Any) -> Any:
    types = gguf.GGMLQuantizationType
    return {"f32": types.F32, "f16": types.F16, "bf16": types.BF16, "q8_0": types.Q8_0}[kind]


def _ordered(tensor: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows of each head in llama.cpp's order. Source: llama.cpp's `permute` for its `llama` type."""
    if not heads:
        return tensor
    rows = tensor.shape[0]
    halves = tensor.reshape(heads, 2, rows // heads // 2, *tensor.shape[1:])
    return halves.swapaxes(1, 2).reshape(tensor.shape)


def _add_numbers(writer: Any, config: dict[str, Any], job: ExportJob, gguf: Any) -> None:
    heads = int(config["num_attention_heads"])
    width = int(config.get("head_dim") or config["hidden_size"] // heads)
    writer.add_type("model")
    writer.add_name(f"{job.model.name} + {job.adapter.name}")
    writer.add_block_count(int(config["num_hidden_layers"]))
    writer.add_context_length(_context(config))
    writer.add_embedding_length(int(config["hidden_size"]))
    writer.add_feed_forward_length(int(config["intermediate_size"]))
    writer.add_head_count(heads)
    writer.add_head_count_kv(int(config.get("num_key_value_heads") or heads))
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_layer_norm_rms_eps(float(config.get("rms_norm_eps", 1e-6)))
    writer.add_vocab_size(int(config["vocab_size"]))
    writer.add_rope_dimension_count(width)
    _add_rope(writer, config, job.model.name, gguf)
    if experts := config.get("num_experts") or config.get("num_local_experts"):
        writer.add_expert_count(int(experts))
        writer.add_expert_used_count(int(config["num_experts_per_tok"]))
        writer.add_expert_feed_forward_length(int(config["moe_intermediate_size"]))
        if shared := config.get("shared_expert_intermediate_size"):
            writer.add_expert_shared_feed_forward_length(int(shared))
    files = gguf.LlamaFileType
    kinds = {
        "f32": files.ALL_F32,
        "f16": files.MOSTLY_F16,
        "bf16": files.MOSTLY_BF16,
        "q8_0": files.MOSTLY_Q8_0,
    }
    writer.add_file_type(kinds[job.gguf])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _context(config: dict[str, Any]) -> int:
    """Tokens at most: llama.cpp's `llama` type sees all of them, so a sliding window ends the context."""
    most, window = config.get("max_position_embeddings") or 2048, config.get("sliding_window")
    if config.get("model_type") == "mistral" and isinstance(window, int):
        return min(int(most), window)
    return int(most)


def _add_rope(writer: Any, config: dict[str, Any], name: str, gguf: Any) -> None:
    table = rope(config)
    kind = table["rope_type"]
    writer.add_rope_freq_base(float(table["rope_theta"]))
    if kind in ("default", "llama3"):
        return
    if kind not in ("linear", "yarn"):
        raise fault(
            "gguf_family", f"{name} cannot be written as GGUF", f"llama.cpp's file has no {kind} rotation"
        )
    types = gguf.RopeScalingType
    writer.add_rope_scaling_type(types.YARN if kind == "yarn" else types.LINEAR)
    writer.add_rope_scaling_factor(float(table["factor"]))
    if kind == "yarn" and table.get("original_max_position_embeddings"):
        writer.add_rope_scaling_orig_ctx_len(int(table["original_max_position_embeddings"]))


def _long_factors(config: dict[str, Any]) -> np.ndarray | None:
    """What Llama 3 divides each frequency by. Source: transformers' `_compute_llama3_parameters`."""
    table = rope(config)
    if table["rope_type"] != "llama3":
        return None
    width = int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])
    waves = 2 * np.pi * table["rope_theta"] ** (np.arange(0, width, 2, dtype=np.float64) / width)
    factor, low, high = (float(table[key]) for key in ("factor", "low_freq_factor", "high_freq_factor"))
    whole = float(table["original_max_position_embeddings"])
    smooth = np.clip((whole / waves - low) / (high - low), 0.0, 1.0)
    result: np.ndarray = (1.0 / ((1 - smooth) / factor + smooth)).astype(np.float32)
    return result


def _add_tokenizer(writer: Any, config: dict[str, Any], job: ExportJob, gguf: Any) -> None:
    folder = Path(job.model.path)
    tokens = read_tokens(folder, int(config["vocab_size"]), job.model.name)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(tokens.pre)
    writer.add_token_list(tokens.texts)
    writer.add_token_types(tokens.kinds)
    writer.add_token_merges(tokens.merges)
    special: dict[str, Callable[[int], None]] = {
        "bos_token": writer.add_bos_token_id,
        "eos_token": writer.add_eos_token_id,
        "pad_token": writer.add_pad_token_id,
        "unk_token": writer.add_unk_token_id,
    }
    settings = read_json(folder / "tokenizer_config.json")
    places = {text: place for place, text in enumerate(tokens.texts)}
    for key, add in special.items():
        entry = settings.get(key)
        text = entry.get("content") if isinstance(entry, dict) else entry
        if isinstance(text, str) and text in places:
            add(places[text])
    writer.add_add_bos_token(tokens.starts)
    template = ChatTemplate.load(folder)
    if template is not None:
        writer.add_chat_template(template.source)
