"""Checks a model's folder before torch sees it: all that small files and headers can tell."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from engine.models.headers import CONFIG_LIMIT, Broken, read_json, read_weights
from engine.protocol.errors import EngineError, fault

_TOKENIZERS = (
    ("tokenizer.json",),
    ("tokenizer.model",),
    ("vocab.json", "merges.txt"),
    ("spiece.model",),
    ("sentencepiece.bpe.model",),
    ("tekken.json",),
    ("vocab.txt",),
)
"""Files that a tokenizer can be made of; one of these sets is enough."""
_FOREIGN_CODE = (
    "auto_map",
    "_attn_implementation_internal",
    "_experts_implementation_internal",
    "attn_implementation",
    "custom_generate",
    "transformers_weights",
)
"""Keys of config.json by which a folder could name code, kernels or files of its own."""


def checked_config(folder: Path, name: str) -> dict[str, Any]:
    """config.json without the keys that could name foreign code.

    Reads the safetensors headers too. Raises EngineError: `model_not_found`, `model_broken`,
    `tokenizer_missing`, `model_quantised`, `model_is_adapter`.
    """
    if not folder.is_dir():
        raise fault(
            "model_not_found",
            f"The folder of {name} is gone",
            f"There is no folder {folder}",
            "Choose another model, or download this one again",
        )
    try:
        config = read_json(folder / "config.json", CONFIG_LIMIT)
        read_weights(folder)
    except Broken as error:
        raise _broken(name, str(error)) from error
    except OSError as error:
        raise _broken(name, f"Its folder cannot be read ({error.strerror}); make it readable") from error
    _refuse_other_formats(folder, name, config)
    if _has_nan(config):
        raise _broken(name, "Its config.json holds a value that is no number; download the model again")
    if not any(all((folder / file).is_file() for file in files) for files in _TOKENIZERS):
        raise fault(
            "tokenizer_missing",
            f"{name} cannot be loaded",
            "Its folder has no tokenizer",
            "Download the model again, with its tokenizer.json",
        )
    cleaned: dict[str, Any] = _cleaned(config)
    return cleaned


def _cleaned(value: Any) -> Any:
    """The same JSON without the foreign keys, at any depth, and with infinity as transformers spells it."""
    if isinstance(value, dict):
        if value.keys() == {"__float__"} and value["__float__"] in ("Infinity", "-Infinity", "NaN"):
            return float(value["__float__"])
        return {key: _cleaned(item) for key, item in value.items() if key not in _FOREIGN_CODE}
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    return value


def _has_nan(value: Any) -> bool:
    """Whether a NaN stands anywhere; no model needs one, and its replies would be noise."""
    if isinstance(value, dict):
        return value.get("__float__") == "NaN" or any(map(_has_nan, value.values()))
    if isinstance(value, list):
        return any(map(_has_nan, value))
    return isinstance(value, float) and math.isnan(value)


def _refuse_other_formats(folder: Path, name: str, config: dict[str, Any]) -> None:
    if (folder / "adapter_config.json").exists():
        raise fault(
            "model_is_adapter",
            f"{name} cannot be loaded as a model",
            "Its folder holds an adapter",
            "Choose the model that the adapter was trained on",
        )
    if (folder / ".metadata").exists():
        raise _broken(name, "It is a distributed checkpoint, which can run code; choose another version")
    quantised = config.get("quantization_config")
    if isinstance(quantised, dict):
        method = quantised.get("quant_method") or "an unnamed method"
        raise fault(
            "model_quantised",
            f"{name} cannot be loaded",
            f"Its weights are quantised by {method}, which Qwill does not read",
            "Choose the version of the model in bfloat16",
        )


def _broken(name: str, sentence: str) -> EngineError:
    """A sentence of the form `why; what to do`."""
    detail, _, remedy = sentence.partition("; ")
    return fault("model_broken", f"{name} cannot be loaded", detail, remedy[:1].upper() + remedy[1:])
