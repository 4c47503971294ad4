"""What one GGUF model is, told from its header; nothing of llama.cpp is imported to say so."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from msgspec.structs import replace

from engine.chat.template import ChatTemplate
from engine.models import gguf_memo
from engine.models.gguf_header import GgufHeader, parts, read_header
from engine.models.headers import Broken
from engine.protocol.errors import EngineError
from engine.protocol.fit import Shape
from engine.protocol.specs import ModelInfo, Sampling, ThinkingKind

TESTED = frozenset({"qwen2", "qwen3", "llama"})
"""Architectures whose replies are compared with transformers' own in the tests."""
PACKAGE = "xllamacpp"
MISSING = (
    "GGUF files need llama.cpp, which is not installed: `pip install 'qwill[gguf]'` "
    "(`pipx inject qwill xllamacpp`, `uv tool install 'qwill[gguf]'`), then restart the engine"
)
_MUTE = frozenset({"bert", "modern-bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "t5encoder"})
"""Architectures that turn text into numbers, not into text."""
_NO_TEMPLATE = "It is a base model without a chat template, so it continues text instead of answering"
Source = Literal["hub", "folder", "ollama", "lmstudio"]


def describe_gguf(file: Path, id: str, name: str, source: Source) -> ModelInfo | None:  # noqa: A002
    """A GGUF file's model; None where it is only a part of one. Never raises: `why` says what is wrong."""
    try:
        known = _describe(file)
    except Broken as error:
        broken = _unsupported(_size(file), str(error))
        return _called(broken, file, id, name, source)
    if known is None:
        return None
    if known.support != "unsupported" and not installed():
        known = _unsupported(known.bytes_on_disk, MISSING, known)
    return _called(known, file, id, name, source)


def installed() -> bool:
    """Whether llama.cpp is there, without importing it."""
    return find_spec(PACKAGE) is not None


def template_of(header: GgufHeader) -> ChatTemplate | None:
    """The chat template that the file carries."""
    source = header.text("tokenizer.chat_template")
    return ChatTemplate(source, header.ends) if source.strip() else None


def _describe(file: Path) -> ModelInfo | None:
    """Read once for each state of the file. Raises Broken."""
    try:
        stat = file.stat()
    except OSError as error:
        raise Broken(f"Its {file.name} cannot be read ({error.strerror}); make it readable") from error
    key = (os.fsencode(file).decode("utf-8", "replace"), stat.st_mtime_ns, stat.st_size)
    if len(parts(file)) > 1 or not gguf_memo.shared.knows(key):
        # The other parts of a split file are looked at each time: one may have gone.
        gguf_memo.shared.put(key, _of(read_header(file)))
    return gguf_memo.shared.get(key)


def _of(header: GgufHeader) -> ModelInfo | None:
    if not header.tensors or header.text("general.type") not in ("", "model") or _is_tower(header):
        return None
    thinking, chat, trouble = _template(header)
    support, why = _support(header, trouble)
    if not why and not chat:
        why = _NO_TEMPLATE
    return ModelInfo(
        id="",
        name="",
        runs_on="llama.cpp",
        family=header.architecture,
        parameters=header.parameters,
        bytes_on_disk=header.bytes_on_disk,
        context=header.count("{arch}.context_length"),
        thinking=thinking,
        chat=chat or support == "unsupported",
        support=support,
        why=why,
        quant=header.quant,
        defaults=_defaults(header),
        shape=shape_of(header),
    )


def _is_tower(header: GgufHeader) -> bool:
    """Whether this is the vision or sound part of another model's file."""
    return header.architecture == "clip" or header.values.get("clip.has_vision_encoder") is True


def _support(header: GgufHeader, trouble: str) -> tuple[Literal["tested", "untested", "unsupported"], str]:
    family = header.architecture
    if not family:
        return "unsupported", "Its header names no architecture; choose another copy of this model"
    if family in _MUTE:
        return "unsupported", f"A {family} model does not write text in reply; choose a language model"
    if trouble:
        return "untested", trouble
    if family in TESTED:
        return "tested", ""
    return (
        "untested",
        f"No test of Qwill covers the {family} family as GGUF yet; it should work if llama.cpp knows it",
    )


def _template(header: GgufHeader) -> tuple[ThinkingKind, bool, str]:
    """Thinking, whether there is a chat template, and what is wrong with it."""
    template = template_of(header)
    if template is None:
        return "never", False, ""
    try:
        return template.thinking, True, ""
    except EngineError as error:
        return "never", True, error.info.sentence().rstrip(".")


def _defaults(header: GgufHeader) -> Sampling:
    """What the maker advises, where the file says it."""
    top_k = header.number("general.sampling.top_k")
    return Sampling(
        temperature=header.number("general.sampling.temp"),
        top_k=None if top_k is None else int(top_k),
        top_p=header.number("general.sampling.top_p"),
        min_p=header.number("general.sampling.min_p"),
        repetition_penalty=header.number("general.sampling.penalty_repeat"),
    )


def shape_of(header: GgufHeader) -> Shape | None:
    """Layers and widths; None where one is missing."""
    layers, hidden = header.count("{arch}.block_count"), header.count("{arch}.embedding_length")
    heads = header.count("{arch}.attention.head_count")
    vocabulary = header.vocabulary or header.count("{arch}.vocab_size")
    if not (layers and hidden and heads and vocabulary):
        return None
    return Shape(
        layers=layers,
        hidden=hidden,
        intermediate=header.count("{arch}.feed_forward_length") or 4 * hidden,
        heads=heads,
        kv_heads=header.count("{arch}.attention.head_count_kv") or heads,
        head_dim=header.count("{arch}.attention.key_length") or hidden // heads,
        vocabulary=vocabulary,
        tied=header.tied,
    )


def _unsupported(size: int, why: str, known: ModelInfo | None = None) -> ModelInfo:
    known = known or ModelInfo(id="", name="", runs_on="llama.cpp")
    return replace(known, bytes_on_disk=size, support="unsupported", why=why, chat=True)


def _called(model: ModelInfo, file: Path, id_: str, name: str, source: Source) -> ModelInfo:
    path = os.fsencode(file).decode("utf-8", "replace")
    if path != str(file):
        model = _unsupported(
            model.bytes_on_disk, "The name of its file is not valid UTF-8; rename the file", model
        )
    return replace(model, id=id_, name=name, source=source, path=path)


def _size(file: Path) -> int:
    """Bytes of all parts that are there."""
    try:
        return sum(each.stat().st_size for each in parts(file) if each.is_file())
    except (OSError, Broken):
        return 0
