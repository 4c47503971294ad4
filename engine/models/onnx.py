"""What one ONNX model is, told from its genai_config.json; nothing of ONNX Runtime is imported to say so."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from engine.chat.template import ChatTemplate
from engine.models.headers import Broken, read_json
from engine.protocol.errors import EngineError
from engine.protocol.specs import ModelInfo, ThinkingKind

CONFIG = "genai_config.json"
PACKAGE = "onnxruntime_genai"
TESTED = frozenset({"llama", "qwen3"})
"""Types whose replies are compared with transformers' own in the tests."""
MISSING = (
    "ONNX models need ONNX Runtime, which is not installed: `pip install 'qwill[onnx]'` "
    "(`pipx inject qwill onnxruntime-genai`, `uv tool install 'qwill[onnx]'`), then restart the engine"
)
_NO_TEMPLATE = "It is a base model without a chat template, so it continues text instead of answering"
_LIMIT = 1 << 20
_SESSION = frozenset(
    {
        *("log_id", "log_severity_level", "log_verbosity_level", "provider_options"),
        *("intra_op_num_threads", "inter_op_num_threads", "graph_optimization_level"),
        *("enable_cpu_mem_arena", "enable_mem_pattern", "use_env_allocators"),
    }
)
"""Settings of a session that load nothing; `custom_ops_library` and its like name code."""
_OTHER = ("vision", "speech", "embedding", "encoder", "pipeline")
"""Parts of models that do more than continue text, or are split over several files."""


def is_onnx(folder: Path) -> bool:
    """Whether a folder holds an ONNX model for onnxruntime-genai, and no weights for torch."""
    return (folder / CONFIG).is_file() and next(folder.glob("*.safetensors"), None) is None


def installed() -> bool:
    """Whether onnxruntime-genai is there, without importing it."""
    return find_spec(PACKAGE) is not None


def describe_onnx(folder: Path, id: str, name: str) -> ModelInfo:  # noqa: A002 - the field's name
    """Everything a list needs to know of it. Never raises: `support` and `why` say what is wrong."""
    blank = ModelInfo(id=id, name=name, runs_on="onnx", path=str(folder), support="unsupported", chat=True)
    try:
        config = checked(folder)
        size = sum(file.stat().st_size for file in folder.iterdir() if ".onnx" in file.name)
        template = ChatTemplate.load(folder)
    except (Broken, EngineError, OSError) as error:
        words = error.info.sentence().rstrip(".") if isinstance(error, EngineError) else str(error)
        return replace(blank, why=words)
    thinking: ThinkingKind = "never" if template is None else template.thinking
    family, context = str(config.get("type", "")), config.get("context_length")
    told = replace(
        blank,
        family=family,
        bytes_on_disk=size,
        context=context if type(context) is int and context > 0 else 0,
        thinking=thinking,
    )
    if not installed():
        return replace(told, why=MISSING)
    tested = family in TESTED
    why = "" if tested else f"No test of Qwill covers ONNX models of the type {family} yet"
    if template is None:
        why = why or _NO_TEMPLATE
    return replace(told, support="tested" if tested else "untested", why=why, chat=template is not None)


def checked(folder: Path) -> dict[str, Any]:
    """The part `model` of its genai_config.json. Raises Broken for what is no text model, or names code."""
    model = read_json(folder / CONFIG, _LIMIT).get("model")
    decoder = model.get("decoder") if isinstance(model, dict) else None
    if not isinstance(model, dict) or not isinstance(decoder, dict) or not isinstance(model.get("type"), str):
        raise Broken(f"Its {CONFIG} tells of no decoder; choose a language model")
    if any(part in model or part in decoder for part in _OTHER):
        raise Broken("It is more than one text decoder; choose a language model in one ONNX file")
    for key, value in _settings(model):
        if key == "session_options" and not (isinstance(value, dict) and value.keys() <= _SESSION):
            raise Broken(
                f"Its {CONFIG} sets more of the session than Qwill lets a model set; it may name code"
            )
        if "library" in key:
            raise Broken(f"Its {CONFIG} names a library, which would run its code")
        if key == "filename" and not (isinstance(value, str) and _lies_in(folder, value)):
            raise Broken(f"Its {CONFIG} names a file that is not in its folder")
    if not isinstance(decoder.get("filename"), str):
        raise Broken(f"Its {CONFIG} names no file")
    return model


def ends(model: dict[str, Any]) -> tuple[int, ...]:
    """The ids that end a reply."""
    given = model.get("eos_token_id")
    listed = given if isinstance(given, list) else [given]
    return tuple(each for each in listed if type(each) is int)


def _settings(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key and value, however deep."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield key, each
            yield from _settings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _settings(each)


def _lies_in(folder: Path, name: str) -> bool:
    return bool(name) and Path(name).name == name and "\\" not in name and (folder / name).is_file()
