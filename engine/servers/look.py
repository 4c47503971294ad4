"""Looks at a server: which program it is, and which models it has with what they can do."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from engine.protocol.endpoints import ServerKind
from engine.protocol.specs import ModelInfo, ThinkingKind
from engine.servers.endpoint import Endpoint
from engine.servers.errors import Refused, not_an_api
from engine.servers.link import Link, quietly

MODELS = 500
"""Of one server at most; a gateway may list thousands."""
NAME_LIMIT = 200
_NOT_CHAT = re.compile(r"embed|rerank|whisper|tts|bge-|clip|moderation|dall-e", re.IGNORECASE)
_SEES = re.compile(r"(^|[-_/.])(vl|vision|llava|pixtral|omni)([-_/.:0-9]|$)|gemma-?[34]", re.IGNORECASE)
_ALWAYS = re.compile(r"thinking|qwq|deepseek-?r1|(^|[-_/])r1([-_/.:]|$)|gpt-oss", re.IGNORECASE)
_HYBRID = re.compile(r"qwen-?3(\.\d+)?([-_:/]|$)", re.IGNORECASE)
_PLAIN = re.compile(r"instruct|coder|(^|[-_])base|embed", re.IGNORECASE)


class Seen(msgspec.Struct, frozen=True):
    """A server as it was found."""

    kind: ServerKind
    version: str
    models: tuple[ModelInfo, ...]
    latency_ms: float


async def look(link: Link, *, seconds: float) -> Seen:
    """Ask a server who it is and what it has. Raises EngineError when it does not answer as such."""
    endpoint = link.endpoint
    began = time.monotonic()
    listed = await _listed(link, seconds)
    latency = (time.monotonic() - began) * 1000
    kind, version = (endpoint.kind, "") if endpoint.kind else await detect(link, listed, seconds)
    rows = {_id(row): row for row in listed if _id(row)}
    for name in endpoint.models:
        rows.setdefault(name, {})
    more = await _capabilities(link, kind, tuple(rows)[:MODELS], seconds)
    models = [
        _model(endpoint, name, row, more.get(name) or more.get("") or {})
        for name, row in list(rows.items())[:MODELS]
        if not _NOT_CHAT.search(name)
    ]
    return Seen(kind, version, tuple(models), latency)


async def _listed(link: Link, seconds: float) -> list[dict[str, Any]]:
    try:
        answer = await link.get(f"{link.endpoint.url}/models", seconds=seconds)
    except Refused as error:
        if error.status in (404, 405) and link.endpoint.models:
            return []  # a server without a list, whose models were named
        raise
    rows = answer.get("data") if isinstance(answer, dict) else None
    if rows is None and isinstance(answer, dict) and "object" in answer:
        rows = []  # Ollama without models
    if not isinstance(rows, list):
        raise not_an_api(link.endpoint, "It has no list of models")
    return [row for row in rows if isinstance(row, dict)]


async def detect(link: Link, listed: list[dict[str, Any]], seconds: float) -> tuple[ServerKind, str]:
    """Which program it is, and its version, by what only that one answers."""
    owners = {str(row.get("owned_by", "")).lower() for row in listed}
    root = link.endpoint.root
    if not link.endpoint.local and owners & {"openai", "system"}:
        return "other", ""
    asked = ("/api/version", "/props", "/version", "/api/v0/models", "/server_info", "/openai/status")
    answers = await asyncio.gather(*(quietly(link.get(root + path, seconds=seconds)) for path in asked))
    ollama, props, version, studio, sglang, foundry = (
        each if isinstance(each, dict) else {} for each in answers
    )
    tests: tuple[tuple[ServerKind, bool, Any], ...] = (
        (
            "llama.cpp",
            "llamacpp" in owners or "default_generation_settings" in props,
            props.get("build_info"),
        ),
        ("ollama", "version" in ollama, ollama.get("version")),
        ("lmstudio", isinstance(studio.get("data"), list), ""),
        ("sglang", "sglang" in owners or "tp_size" in sglang, sglang.get("version")),
        ("vllm", "vllm" in owners or set(version) == {"version"}, version.get("version")),
        ("foundry", "modelDirPath" in foundry or "endpoints" in foundry, ""),
    )
    for kind, fits, found in tests:
        if fits:
            return kind, str(found or "")[:64]
    schema = await quietly(link.get(f"{root}/openapi.json", seconds=seconds))
    paths = schema.get("paths") if isinstance(schema, dict) else None
    return ("transformers" if isinstance(paths, dict) and "/load_model" in paths else "other"), ""


async def _capabilities(
    link: Link, kind: ServerKind, names: tuple[str, ...], seconds: float
) -> dict[str, dict[str, Any]]:
    """What the server tells of its models beyond their list, by name; `""` goes for all."""
    root = link.endpoint.root
    if kind == "ollama":
        tags = await quietly(link.get(f"{root}/api/tags", seconds=seconds))
        shown = await asyncio.gather(
            *(quietly(link.post(f"{root}/api/show", {"model": name}, seconds=seconds)) for name in names[:50])
        )
        sizes = {str(row.get("name")): row for row in _rows(tags, "models")}
        return {
            name: sizes.get(name, {}) | (show if isinstance(show, dict) else {})
            for name, show in zip(names, shown, strict=False)
        }
    if kind == "llama.cpp":
        props = await quietly(link.get(f"{root}/props", seconds=seconds))
        return {"": props} if isinstance(props, dict) else {}
    if kind == "lmstudio":
        listed = await quietly(link.get(f"{root}/api/v0/models", seconds=seconds))
        return {str(row.get("id")): row for row in _rows(listed, "data")}
    return {}


def _model(endpoint: Endpoint, name: str, row: Mapping[str, Any], more: Mapping[str, Any]) -> ModelInfo:
    details = _dict(more.get("details"))
    template = more.get("chat_template") or more.get("template")
    return ModelInfo(
        id=f"{endpoint.name}/{name}",
        name=name.rpartition("/")[2] or name,
        source="server",
        runs_on="server",
        path=endpoint.url,
        family=str(details.get("family") or more.get("arch") or "")[:64],
        parameters=_whole(_dict(row.get("meta")).get("n_params")),
        bytes_on_disk=_whole(more.get("size")) or _whole(_dict(row.get("meta")).get("size")),
        context=_context(row, more),
        thinking=_thinking(name, more, template if isinstance(template, str) else ""),
        vision=_sees(name, row, more),
        why=endpoint.warning,
        quant=str(details.get("quantization_level") or more.get("quantization") or "")[:32],
    )


def _context(row: Mapping[str, Any], more: Mapping[str, Any]) -> int:
    """Tokens that the server really gives a chat, where it says so; else what the model could hold."""
    info = _dict(more.get("model_info"))
    trained = next((value for key, value in info.items() if key.endswith(".context_length")), 0)
    settings = _dict(more.get("default_generation_settings"))
    for value in (
        settings.get("n_ctx"),
        row.get("max_model_len"),
        more.get("loaded_context_length"),
        row.get("context_length"),
        row.get("maxInputTokens"),
        more.get("max_context_length"),
        trained,
        _dict(row.get("meta")).get("n_ctx_train"),
    ):
        if _whole(value):
            return _whole(value)
    return 0


def _thinking(name: str, more: Mapping[str, Any], template: str) -> ThinkingKind:
    offered = _dict(more.get("thinking")).get("values")
    if isinstance(offered, list) and offered:
        return "never" if offered == [False] else "switchable" if False in offered else "always"
    capabilities = more.get("capabilities")
    if isinstance(capabilities, list) and "completion" in capabilities:
        if "thinking" not in capabilities:
            return "never"
        return "always" if _ALWAYS.search(name) and "qwen" not in name.lower() else "switchable"
    if template:
        if "enable_thinking" in template:
            return "switchable"
        return "always" if "<think>" in template and _ALWAYS.search(name) else "never"
    return thinking_by_name(name)


def thinking_by_name(name: str) -> ThinkingKind:
    """Whether models of this name think, where the server does not say."""
    if _ALWAYS.search(name):
        return "always"
    return "switchable" if _HYBRID.search(name) and not _PLAIN.search(name) else "never"


def _sees(name: str, row: Mapping[str, Any], more: Mapping[str, Any]) -> bool:
    if isinstance(more.get("modalities"), dict):
        return bool(more["modalities"].get("vision"))
    if isinstance(more.get("capabilities"), list) and "completion" in more["capabilities"]:
        return "vision" in more["capabilities"]
    if more.get("type") in ("llm", "vlm"):
        return bool(more["type"] == "vlm")
    if isinstance(row.get("vision"), bool):
        return bool(row["vision"])
    return bool(_SEES.search(name))


def _id(row: Mapping[str, Any]) -> str:
    value = row.get("id")
    if not isinstance(value, str) or not value.isprintable():
        return ""
    return value if len(value) <= NAME_LIMIT else ""


def _rows(answer: Any, key: str) -> list[dict[str, Any]]:
    rows = answer.get(key) if isinstance(answer, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 53 else 0
