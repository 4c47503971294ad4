"""The tokenizer of a GGUF file, which only llama.cpp knows, and the ids that steer a reply."""

from __future__ import annotations

from collections.abc import Sequence

from engine.chat.template import ChatTemplate
from engine.chat.thinking import EARLY_STOP, TAGS, ThinkParser
from engine.llama.wire import Wire
from engine.models.gguf_header import GgufHeader

_ENDS = ("<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|eot|>", "<|end|>", "<end_of_turn>", "</s>")
"""Tokens that end a reply in some family; one counts where it is one token of the vocabulary."""
_END_KEYS = ("eos", "eot", "eom")
_NO_TAG = (-1,)


class LlamaVocabulary:
    """Tokenises through the process that holds the model. Thread-safe."""

    def __init__(self, wire: Wire, header: GgufHeader, template: ChatTemplate | None) -> None:
        self._wire = wire
        self.template = template
        pairs = [(tag, self._single(tag[0]), self._single(tag[1])) for tag in TAGS]
        known = [pair for pair in pairs if pair[1] is not None and pair[2] is not None]
        self._open = tuple(first for _, first, _ in known if first is not None)
        self._close = tuple(last for _, _, last in known if last is not None)
        written = [tag for tag in TAGS if template is not None and tag[1] in template.source]
        self.tags = ([tag for tag, _, _ in known] or written or [*TAGS])[0]
        named = [header.values.get(f"tokenizer.ggml.{key}_token_id") for key in _END_KEYS]
        self.stops = {end for end in [*named, *map(self._single, _ENDS)] if type(end) is int}

    def through(self, wire: Wire) -> None:
        """Ask another process of the same model from now on."""
        self._wire = wire

    def encode(self, text: str) -> list[int]:
        """Ids of a prompt. A template writes its special tokens itself; bare text gets the vocabulary's."""
        return self._ids(text, special=True, ends=self.template is None)

    def plain(self, text: str) -> list[int]:
        """Ids of a text in which no special token's name counts as that token."""
        return self._ids(text, special=False)

    def tag(self, tag: str) -> list[int]:
        """Ids of a tag: one where it is a token."""
        return self._ids(tag, special=True)

    def text(self, ids: Sequence[int]) -> str:
        """What ids say, special tokens by their names."""
        return str(self._wire.ask("/detokenize", {"tokens": list(ids)}).get("content", ""))

    def parser(self, started: bool) -> ThinkParser:
        """Splits a reply into thinking and answer; without a template a tag is a word like any other."""
        if self.template is None:
            return ThinkParser(_NO_TAG, _NO_TAG, False)
        return ThinkParser(self._open, self._close, started)

    def early_stop(self) -> list[int]:
        """Ids of the sentence that ends thinking, with the closing tag that this model knows."""
        return self._ids(EARLY_STOP.replace(TAGS[0][1], self.tags[1]), special=True)

    def _single(self, text: str) -> int | None:
        ids = self._ids(text, special=True)
        return ids[0] if len(ids) == 1 else None

    def _ids(self, text: str, *, special: bool, ends: bool = False) -> list[int]:
        body = {"content": text, "add_special": ends, "parse_special": special}
        return list(self._wire.ask("/tokenize", body)["tokens"])
