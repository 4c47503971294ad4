"""A byte-level BPE tokenizer as llama.cpp reads it out of a GGUF file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from engine.models.headers import Broken, read_json
from engine.protocol.errors import EngineError, fault

NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5
"""llama.cpp's kinds of tokens."""
_QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
_LLAMA3 = _QWEN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
_TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPLITS = {_QWEN: "qwen2", _LLAMA3: "llama-bpe", _TEKKEN: "tekken"}
"""The pattern that splits a text into words, to llama.cpp's name for it."""


class Tokens(NamedTuple):
    """What goes into the file."""

    texts: list[str]
    kinds: list[int]
    merges: list[str]
    pre: str
    """llama.cpp's name for how a text is split into words."""
    starts: bool
    """Whether every text begins with the start token."""


def read_tokens(folder: Path, count: int, name: str) -> Tokens:
    """The tokenizer of a model's folder, filled up to `count` ids. Raises EngineError `gguf_tokenizer`."""
    try:
        table = read_json(folder / "tokenizer.json")
        settings = read_json(folder / "tokenizer_config.json")
    except Broken as error:
        raise _refused(name, str(error)) from error
    model = table.get("model") or {}
    if (
        model.get("type") != "BPE"
        or model.get("byte_fallback")
        or "ByteLevel" not in json.dumps(table["pre_tokenizer"])
    ):
        raise _refused(name, "Its tokenizer is not byte-level BPE")
    texts = [f"[PAD{place}]" for place in range(count)]
    kinds = [UNUSED] * count
    for text, place in model["vocab"].items():
        if place >= count:
            raise _refused(name, "Its tokenizer has more tokens than the model")
        texts[place], kinds[place] = text, NORMAL
    for entry in table.get("added_tokens") or ():
        if entry["id"] < count:
            texts[entry["id"]] = entry["content"]
            kinds[entry["id"]] = CONTROL if entry["special"] else USER_DEFINED
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    return Tokens(texts, kinds, merges, _split(table["pre_tokenizer"], name), _starts(table, settings))


def _split(table: dict[str, Any], name: str) -> str:
    """llama.cpp's name for a pre-tokenizer."""
    parts = table.get("pretokenizers") or [table]
    kinds = [part.get("type") for part in parts]
    for part in parts:
        pattern = part.get("pattern")
        if isinstance(pattern, dict) and pattern.get("Regex") in SPLITS:
            return SPLITS[pattern["Regex"]]
    last = parts[-1]
    if kinds == ["Digits", "ByteLevel"] and parts[0].get("individual_digits") and last.get("use_regex", True):
        return "smollm"
    if kinds == ["ByteLevel"] and last.get("use_regex", True):
        return "gpt-2"
    raise _refused(name, "It splits text into words in a way that Qwill has no name for in llama.cpp")


def _starts(table: dict[str, Any], settings: dict[str, Any]) -> bool:
    """Whether the tokenizer puts a start token in front by itself."""
    template = json.dumps(table.get("post_processor") or {})
    said = settings.get("add_bos_token")
    return bool(said) if isinstance(said, bool) else '"SpecialToken"' in template


def _refused(name: str, why: str) -> EngineError:
    return fault(
        "gguf_tokenizer",
        f"{name} cannot be written as GGUF",
        why,
        "Export the merged folder, and convert it with llama.cpp's own script",
    )
