"""How llama.cpp calls a model's tensors and numbers, for the families that are exported."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from engine.protocol.errors import fault

ARCHITECTURES = {
    "llama": "llama",
    "mistral": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "qwen2_moe": "qwen2moe",
    "qwen3_moe": "qwen3moe",
}
"""model_type to llama.cpp's name of the architecture."""
_TOP = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_LAYER = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "mlp.gate": "ffn_gate_inp",
    "mlp.shared_expert.gate_proj": "ffn_gate_shexp",
    "mlp.shared_expert.up_proj": "ffn_up_shexp",
    "mlp.shared_expert.down_proj": "ffn_down_shexp",
    "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
}
_EXPERTS = {"gate_proj": "ffn_gate_exps", "up_proj": "ffn_up_exps", "down_proj": "ffn_down_exps"}
_IN_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)\.(weight|bias)")
_EXPERT = re.compile(r"model\.layers\.(\d+)\.mlp\.experts\.(\d+)\.(\w+)\.weight")


class Place(NamedTuple):
    """Where a tensor of the base goes."""

    name: str
    expert: int = -1
    """Its place in a stack of experts; -1: it stands alone."""


def architecture(config: dict[str, Any], name: str) -> str:
    """llama.cpp's name for the model's type. Raises EngineError `gguf_family`."""
    family = str(config.get("model_type"))
    if family not in ARCHITECTURES:
        raise fault(
            "gguf_family",
            f"{name} cannot be written as GGUF",
            f"Models of the type {family} are not among those Qwill converts: {', '.join(ARCHITECTURES)}",
            "Export the merged folder, and convert it with llama.cpp's own script",
        )
    return ARCHITECTURES[family]


def gguf_place(name: str, model: str) -> Place:
    """Raises EngineError `gguf_family` for a tensor that llama.cpp has no place for."""
    if name in _TOP:
        return Place(_TOP[name])
    if expert := _EXPERT.fullmatch(name):
        layer, number, part = expert.groups()
        if part in _EXPERTS:
            return Place(f"blk.{layer}.{_EXPERTS[part]}.weight", int(number))
    if found := _IN_LAYER.fullmatch(name):
        layer, part, ending = found.groups()
        if part in _LAYER:
            return Place(f"blk.{layer}.{_LAYER[part]}.{ending}")
    raise fault(
        "gguf_family",
        f"{model} cannot be written as GGUF",
        f"llama.cpp has no place for its tensor {name}",
        "Export the merged folder, and convert it with llama.cpp's own script",
    )


def heads_of(name: str, config: dict[str, Any]) -> int:
    """Heads whose rows llama.cpp keeps in another order; 0 for every other tensor.

    transformers rotates the halves of a head against each other, llama.cpp's `llama` neighbours.
    """
    if config.get("model_type") not in ("llama", "mistral"):
        return 0
    heads = int(config["num_attention_heads"])
    if ".self_attn.q_proj." in name:
        return heads
    return int(config.get("num_key_value_heads") or heads) if ".self_attn.k_proj." in name else 0


def rope(config: dict[str, Any]) -> dict[str, Any]:
    """`rope_theta`, `rope_type` and the like, wherever a config.json has them."""
    new, old = config.get("rope_parameters"), config.get("rope_scaling")
    found: dict[str, Any] = {"rope_theta": config.get("rope_theta", 10000.0)}
    for table in (old, new):
        if isinstance(table, dict):
            found |= table
    found["rope_type"] = found.get("rope_type") or found.get("type") or "default"
    return found
