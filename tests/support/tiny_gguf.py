"""Small GGUF files of the demo model and of tiny random ones, and hostile headers beside them."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import gguf
import torch
from safetensors.torch import load_file

from engine.demo import MODEL_FOLDER

MAGIC = b"GGUF"
_TYPES = {"f32": gguf.GGMLQuantizationType.F32, "f16": gguf.GGMLQuantizationType.F16}
_FILE_TYPES = {"f32": gguf.LlamaFileType.ALL_F32, "f16": gguf.LlamaFileType.MOSTLY_F16}
_ARCHITECTURES = {
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "llama": gguf.MODEL_ARCH.LLAMA,
}


def demo_gguf(path: Path, **changes: Any) -> Path:
    """The demo model as one GGUF file; see `write_gguf`."""
    return write_gguf(MODEL_FOLDER, path, **changes)


def write_gguf(
    folder: Path,
    path: Path,
    kind: str = "f32",
    *,
    name: str = "Demo",
    template: str | None = "",
    architecture: str = "",
    context: int = 0,
) -> Path:
    """A folder's model with a byte-level BPE as one GGUF file. `kind`: f32 or f16.

    `template`: its own where empty, None writes none. `architecture` and `context` say something else
    than what is true.
    """
    config = json.loads((folder / "config.json").read_text())
    arch = _ARCHITECTURES[config["model_type"]]
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, architecture or gguf.MODEL_ARCH_NAMES[arch])
    writer.add_type("model")
    writer.add_name(name)
    writer.add_file_type(_FILE_TYPES[kind])
    _sizes(writer, config | ({"max_position_embeddings": context} if context else {}))
    _tokenizer(writer, folder, config)
    if template is not None:
        writer.add_chat_template(template or (folder / "chat_template.jinja").read_text())
    _tensors(writer, folder, config, arch, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _sizes(writer: gguf.GGUFWriter, config: dict[str, Any]) -> None:
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(config["head_dim"])
    writer.add_value_length(config["head_dim"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])


def _tokenizer(writer: gguf.GGUFWriter, folder: Path, config: dict[str, Any]) -> None:
    data = json.loads((folder / "tokenizer.json").read_text())
    vocabulary: dict[str, int] = data["model"]["vocab"]
    size = config["vocab_size"]
    tokens = [f"[PAD{number}]" for number in range(size)]
    kinds = [gguf.TokenType.UNUSED] * size
    for text, number in vocabulary.items():
        tokens[number], kinds[number] = text, gguf.TokenType.NORMAL
    for added in data["added_tokens"]:
        tokens[added["id"]] = added["content"]
        kinds[added["id"]] = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in data["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2" if folder == MODEL_FOLDER else "gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(merges)
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    writer.add_bos_token_id(config["pad_token_id"])
    writer.add_add_bos_token(False)


def _tensors(
    writer: gguf.GGUFWriter, folder: Path, config: dict[str, Any], arch: gguf.MODEL_ARCH, kind: str
) -> None:
    names = gguf.get_tensor_name_map(arch, config["num_hidden_layers"])
    for name, tensor in load_file(folder / "model.safetensors").items():
        if config["model_type"] == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
            tensor = _interleaved(tensor, config, "q_proj" in name)
        new = names.get_name(name, try_suffixes=(".weight", ".bias"))
        wanted = _TYPES[kind] if tensor.dim() > 1 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(new, gguf.quants.quantize(tensor.to(torch.float32).numpy(), wanted))


def _interleaved(tensor: torch.Tensor, config: dict[str, Any], query: bool) -> torch.Tensor:
    """llama.cpp turns neighbours of a head where transformers turns its halves."""
    heads = config["num_attention_heads" if query else "num_key_value_heads"]
    return tensor.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)


# --- headers by hand -------------------------------------------------------------------------------


def text(value: str) -> bytes:
    """A string as GGUF has it."""
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def pair(key: str, kind: int, value: bytes) -> bytes:
    """One key with its value, already packed."""
    return text(key) + struct.pack("<I", kind) + value


def header(*pairs: bytes, version: int = 3, tensors: int = 0, count: int | None = None) -> bytes:
    """The front of a file; `count` claims another number of pairs than there are."""
    claimed = len(pairs) if count is None else count
    return MAGIC + struct.pack("<IQQ", version, tensors, claimed) + b"".join(pairs)
