"""What a tokenizer knows beside the text: which ids end a reply, which open and close thinking."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from engine.chat.template import ChatTemplate
from engine.chat.thinking import EARLY_STOP, TAGS, ThinkParser
from engine.protocol.errors import fault
from engine.workers.eyes import Eyes

_TURN_ENDS = ("<|im_end|>", "<|eot_id|>", "<|eot|>", "<end_of_turn>", "<end_of_utterance>")
"""Tokens that end a turn in some family; one counts where the chat template writes it."""

_NO_TAG = (-1,)


class Vocabulary:
    """A tokenizer, and the ids that steer a reply."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        template: ChatTemplate | None,
        ends: Iterable[int],
        eyes: Eyes | None = None,
    ) -> None:
        """`ends`: the end ids that the model's generation_config names; `eyes`: of a model that sees."""
        self.eyes = eyes
        self.tokenizer = tokenizer
        self.template = template
        self.stops = frozenset(self._stops(ends))
        pairs = [(self._single(opening), self._single(closing)) for opening, closing in TAGS]
        known = [(tag, pair) for tag, pair in zip(TAGS, pairs, strict=True) if None not in pair]
        self._open = tuple(pair[0] for _, pair in known if pair[0] is not None)
        self._close = tuple(pair[1] for _, pair in known if pair[1] is not None)
        self._tags = [tag for tag, _ in known] or [tag for tag in TAGS if self._writes(tag[1])] or [*TAGS]
        self._special = frozenset(tokenizer.all_special_ids)

    @classmethod
    def load(cls, folder: Path, template: ChatTemplate | None, ends: Iterable[int]) -> Vocabulary:
        """From a model's folder, without foreign code. Raises EngineError `tokenizer_broken`."""
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        except Exception as error:  # the libraries raise whatever a broken file leads them to
            raise fault(
                "tokenizer_broken",
                "The model's tokenizer cannot be read",
                str(error).strip().partition("\n")[0],
                "Download the model again",
            ) from error
        return cls(tokenizer, template, ends, Eyes.load(folder, tokenizer))

    def encode(self, text: str) -> list[int]:
        """Ids of a prompt. A template writes its special tokens itself; bare text gets the tokenizer's."""
        return list(self.tokenizer.encode(text, add_special_tokens=self.template is None))

    def plain(self, text: str) -> list[int]:
        """Ids of a text in which no special token's name counts as that token."""
        return list(self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))

    def tag(self, tag: str) -> list[int]:
        """Ids of a tag: one where it is a token."""
        return list(self.tokenizer.encode(tag, add_special_tokens=False))

    @property
    def tags(self) -> tuple[str, str]:
        """The tags that this model opens and closes thinking with."""
        return self._tags[0]

    def parser(self, started: bool) -> ThinkParser:
        """Splits a reply into thinking and answer: by ids where the tags are tokens, else by text.

        Without a template the reply continues a text, in which a tag is a word like any other.
        """
        if self.template is None:
            return ThinkParser(_NO_TAG, _NO_TAG, False)
        return ThinkParser(self._open, self._close, started)

    def early_stop(self) -> list[int]:
        """Ids of the sentence that ends thinking, with the closing tag that this model knows."""
        text = EARLY_STOP.replace(TAGS[0][1], self.tags[1])
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def boundary(self, prompt: Sequence[int]) -> int | None:
        """Where the reply's own header starts, which the next prompt has too: at the last special token."""
        for place in range(len(prompt) - 1, 0, -1):
            if prompt[place] in self._special:
                return place
        return None

    def _stops(self, ends: Iterable[int]) -> Iterable[int]:
        yield from ends
        if self.tokenizer.eos_token_id is not None:
            yield self.tokenizer.eos_token_id
        for text in _TURN_ENDS:
            token = self._single(text)
            if token is not None and self._writes(text):
                yield token

    def _writes(self, text: str) -> bool:
        return self.template is not None and text in self.template.source

    def _single(self, text: str) -> int | None:
        """The id of a text that is one token of the vocabulary."""
        return self.tokenizer.get_vocab().get(text)


def end_ids(config: object) -> tuple[int, ...]:
    """The end ids that a model's config or generation_config names; none where there is no config."""
    ends = getattr(config, "eos_token_id", None)
    if ends is None:
        return ()
    return (ends,) if isinstance(ends, int) else tuple(ends)
