"""The shape of a model, as far as memory depends on it: of the catalogue, or of a folder's config.json."""

from __future__ import annotations

from typing import Any

import msgspec

from engine.protocol.fit import Shape
from engine.protocol.specs import ModelInfo

_MOST = 1 << 40
"""A larger number in a config.json is a lie, and is not counted with."""


class Size(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an estimate needs to know about a model. Counts of parameters."""

    name: str
    parameters: int
    active: int = 0
    """Those that one token passes through; 0 means all of them."""
    experts: int = 0
    """Those inside experts, which quantising leaves as they are."""
    tower: int = 0
    """Those of the vision part, which a token of text does not pass through."""
    context: int = 0
    shape: Shape | None = None
    """None: unknown, so cache and working memory cannot be told."""
    stored: int = 0
    """Bytes of weights that stay as their file has them, such as a GGUF file's; 0: they do not stay so."""


def size_of(model: ModelInfo) -> Size:
    """A model of this machine by its listing; its file's bytes stand for parameters that are not known."""
    stays = model.runs_on == "llama.cpp" or not model.parameters
    return Size(
        model.name,
        model.parameters,
        model.active,
        model.experts,
        context=model.context,
        shape=model.shape,
        stored=model.bytes_on_disk if stays else 0,
    )


def experts_of_config(parameters: int, config: dict[str, Any]) -> tuple[int, int]:
    """(Parameters that one token passes through, those inside experts); zeros for a model without experts."""
    experts, used = _experts(_text_part(config))
    return (parameters - experts + used, experts) if 0 < experts < parameters else (0, 0)


def shape_of_config(config: dict[str, Any]) -> Shape | None:
    """The shape that a config.json tells; None where a width is missing or cannot be true."""
    text = _text_part(config)
    layers, hidden = _whole(text, "num_hidden_layers"), _whole(text, "hidden_size")
    heads, vocabulary = _whole(text, "num_attention_heads"), _whole(text, "vocab_size")
    if not (layers and hidden and heads and vocabulary):
        return None
    kinds = text.get("layer_types")
    kinds = [str(kind) for kind in kinds] if isinstance(kinds, list) and len(kinds) == layers else []
    window = _whole(text, "sliding_window") if text.get("use_sliding_window") is not False else 0
    sliding = sum(kind in ("sliding_attention", "chunked_attention") for kind in kinds)
    linear = sum(kind.startswith("linear") for kind in kinds)
    # Without a list of kinds a window holds for every layer, as in Mistral 7B.
    return Shape(
        layers=layers,
        hidden=hidden,
        intermediate=_intermediate(text) or 4 * hidden,
        heads=heads,
        kv_heads=1 if text.get("multi_query") is True else _whole(text, "num_key_value_heads") or heads,
        head_dim=_whole(text, "head_dim") or hidden // heads,
        vocabulary=vocabulary,
        tied=_tied(config, text),
        sliding_layers=(sliding if kinds else layers) if window else 0,
        window=window,
        linear_layers=linear,
        state=_state(text) if linear else 0,
        conv=_conv(text) if linear else 0,
    )


def _text_part(config: dict[str, Any]) -> dict[str, Any]:
    nested = config.get("text_config")
    return nested if isinstance(nested, dict) else config


def _tied(config: dict[str, Any], text: dict[str, Any]) -> bool:
    for table in (text, config):
        if isinstance(table.get("tie_word_embeddings"), bool):
            return bool(table["tie_word_embeddings"])
    return True  # as transformers' own default


def _experts(text: dict[str, Any]) -> tuple[int, int]:
    """Parameters inside experts, and those of the experts that one token uses."""
    count = _whole(text, "num_experts") or _whole(text, "num_local_experts")
    width = _whole(text, "moe_intermediate_size") or _whole(text, "intermediate_size")
    used = _whole(text, "num_experts_per_tok")
    if not count or not used:
        return 0, 0
    one = 3 * _whole(text, "hidden_size") * width * _whole(text, "num_hidden_layers")
    return one * count, one * min(used, count)


def _intermediate(text: dict[str, Any]) -> int:
    used = _whole(text, "num_experts_per_tok")
    width = _whole(text, "moe_intermediate_size") or _whole(text, "intermediate_size")
    return (used or 1) * width + _whole(text, "shared_expert_intermediate_size") if width else 0


def _state(text: dict[str, Any]) -> int:
    return (
        _whole(text, "linear_num_value_heads")
        * _whole(text, "linear_key_head_dim")
        * _whole(text, "linear_value_head_dim")
    )


def _conv(text: dict[str, Any]) -> int:
    keys = 2 * _whole(text, "linear_num_key_heads") * _whole(text, "linear_key_head_dim")
    values = _whole(text, "linear_num_value_heads") * _whole(text, "linear_value_head_dim")
    return (keys + values) * (_whole(text, "linear_conv_kernel_dim") or 4)


def _whole(table: dict[str, Any], key: str) -> int:
    value = table.get(key)
    return value if type(value) is int and 0 < value < _MOST else 0
