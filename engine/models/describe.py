"""What one model's folder holds, told from config.json and the headers of its weights. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from engine.chat.template import ChatTemplate
from engine.models.advised import advised, number
from engine.models.headers import CONFIG_LIMIT, Broken, Weights, read_json, read_weights
from engine.models.shape import experts_of_config, shape_of_config
from engine.protocol.errors import EngineError
from engine.protocol.specs import ModelInfo, Sampling, ThinkingKind

TESTED = frozenset(
    {
        *("qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "qwen3_5", "qwen3_5_text"),
        *("llama", "mistral", "falcon", "olmo2", "gemma3", "gemma3_text"),
        *("qwen2_5_vl", "qwen3_vl"),
    }
)
"""model_types whose replies are compared with transformers' own in the tests."""
SEEING = frozenset({"qwen2_5_vl", "qwen3_vl"})
"""model_types that are loaded with their vision tower, so that they can be shown images."""
Support = Literal["tested", "untested", "unsupported"]
_GENERATES = ("ForCausalLM", "ForConditionalGeneration")
_CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length")
_TEMPLATE_FILES = ("chat_template.jinja", "tokenizer_config.json", "chat_template.json")
_NO_TEMPLATE = "It is a base model without a chat template, so it continues text instead of answering"
_Seen = tuple[ThinkingKind, bool]
_templates: dict[tuple[str, tuple[int, ...]], _Seen] = {}


def describe(
    folder: Path,
    id: str,  # noqa: A002
    name: str,
    source: Literal["demo", "hub", "folder"],
) -> ModelInfo:
    """Everything a list needs to know about a model. Never raises: `support` and `why` say what is wrong."""
    weights, broken = Weights(0, 0, ""), ""
    config: dict[str, Any] = {}
    try:
        config = read_json(folder / "config.json", CONFIG_LIMIT)
    except Broken as error:
        broken = str(error)
    try:
        weights = read_weights(folder)
    except Broken as error:
        # Weights of a form that cannot be loaded say more than the config.json they came without.
        broken = str(error) if config or any(folder.glob("*.gguf")) else broken
    except OSError as error:
        broken = broken or f"Its folder cannot be read ({error.strerror}); make it readable"
    thinking: ThinkingKind = "never"
    chat, trouble = False, ""
    support: Support = "unsupported"
    why = broken
    if not broken:
        thinking, chat, trouble = _template(folder)
        support, why = _support(config, trouble)
    if not why and not chat:
        why = _NO_TEMPLATE
    active, experts = experts_of_config(weights.parameters, config)
    return ModelInfo(
        id=id,
        name=name,
        source=source,
        path=str(folder),
        family=_text(config, "model_type"),
        parameters=weights.parameters,
        bytes_on_disk=weights.bytes_on_disk,
        context=_context(config),
        dtype=weights.dtype,
        thinking=thinking,
        vision=_text(config, "model_type") in SEEING and isinstance(config.get("vision_config"), dict),
        chat=chat or support == "unsupported",
        support=support,
        why=why,
        defaults=_defaults(folder),
        shape=shape_of_config(config),
        active=active,
        experts=experts,
    )


def _support(config: dict[str, Any], trouble: str) -> tuple[Support, str]:
    family = _text(config, "model_type")
    architectures = config.get("architectures")
    names = [str(item) for item in architectures] if isinstance(architectures, list) else []
    if not family or not names:
        return "unsupported", "Its config.json names no architecture; choose a model of the transformers kind"
    if not any(name.endswith(_GENERATES) for name in names) or config.get("is_encoder_decoder") is True:
        return "unsupported", f"{names[0]} does not write text in reply; choose a language model"
    if trouble:
        return "untested", trouble
    quantised = config.get("quantization_config")
    if isinstance(quantised, dict):
        method = quantised.get("quant_method") or "a method it does not name"
        return "untested", f"Its weights are quantised by {method}, which may need a package of its own"
    if family in TESTED:
        return "tested", ""
    if "auto_map" in config:
        return (
            "untested",
            "It brings its own code, which Qwill never runs; it loads only if transformers knows it",
        )
    return (
        "untested",
        f"No test of Qwill covers the {family} family yet; it should work if transformers knows it",
    )


def _template(folder: Path) -> tuple[ThinkingKind, bool, str]:
    """Thinking, whether there is a chat template, and what is wrong with it."""
    key = (str(folder), tuple(_changed(folder / name) for name in _TEMPLATE_FILES))
    if key not in _templates:
        try:
            template = ChatTemplate.load(folder)
            _templates[key] = ("never", False) if template is None else (template.thinking, True)
        except EngineError as error:
            return "never", True, error.info.sentence().rstrip(".")
    thinking, chat = _templates[key]
    return thinking, chat, ""


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _context(config: dict[str, Any]) -> int:
    nested = config.get("text_config")
    for table in (config, nested if isinstance(nested, dict) else {}):
        for key in _CONTEXT_KEYS:
            value = table.get(key)
            if type(value) is int and value > 0:
                return value
    return 0


def _defaults(folder: Path) -> Sampling:
    """From generation_config.json; without `do_sample` a model is greedy, as in transformers."""
    try:
        config = read_json(folder / "generation_config.json")
    except Broken:
        return Sampling()
    if config.get("do_sample") is not True:
        return Sampling(temperature=0.0, repetition_penalty=number(config, "repetition_penalty"))
    return advised(config)


def _text(config: dict[str, Any], key: str) -> str:
    value = config.get(key)
    return value if isinstance(value, str) else ""
