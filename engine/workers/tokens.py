"""Decodes token ids as they come, so that the pieces put together are the tokenizer's own decoding."""

from __future__ import annotations

from transformers import PreTrainedTokenizerBase

BROKEN = "\ufffd"
"""What decoders write for bytes that are no character, or not yet."""


class TokenDecoder:
    """Text of a growing reply, special tokens skipped.

    A token's text depends on its neighbours (a leading space, characters split over tokens), so each
    piece is what the new tokens add behind the last shown ones. Text is held back while it ends in half a
    character, and while it ends in single-byte tokens, which decode as one run.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, *, hold_bytes: bool = True) -> None:
        """`hold_bytes`: whether single-byte tokens wait for the end of their run, as exactness needs."""
        self._tokenizer = tokenizer
        self._hold_bytes = hold_bytes
        self._special = frozenset(tokenizer.all_special_ids)
        self._shown: list[int] = []
        self._waiting: list[int] = []

    def feed(self, token_id: int) -> str:
        """The text that this token completes; may be empty."""
        if token_id in self._special:
            return ""
        self._waiting.append(token_id)
        if self._hold_bytes and is_byte(self._tokenizer.convert_ids_to_tokens(token_id)):
            return ""
        text = self._added()
        return "" if text.endswith(BROKEN) else self._release(text)

    def flush(self) -> str:
        """What was held back; call once, at the end."""
        return self._release(self._added()) if self._waiting else ""

    def would_add(self, token_id: int) -> str:
        """The text that this token would add if it came next; ends in BROKEN where it is half a character."""
        if token_id in self._special:
            return ""
        before = self._decode(self._shown) if self._shown else ""
        return self._decode([*self._shown, *self._waiting, token_id])[len(before) :]

    def _release(self, text: str) -> str:
        # An empty text may be a leading space that only the next token makes visible: it stays in the window.
        if text:
            self._shown, self._waiting = self._waiting, []
        return text

    def _added(self) -> str:
        before = self._decode(self._shown) if self._shown else ""
        return self._decode(self._shown + self._waiting)[len(before) :]

    def _decode(self, ids: list[int]) -> str:
        text = self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        assert isinstance(text, str)
        return text


def is_byte(token: object) -> bool:
    """`<0x0A>`: one byte, of a vocabulary that falls back to bytes."""
    return isinstance(token, str) and len(token) == 6 and token.startswith("<0x") and token.endswith(">")
