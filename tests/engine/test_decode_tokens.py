"""Incremental decoding: the pieces put together are what the tokenizer makes of all ids at once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from engine.workers.tokens import TokenDecoder
from tests.support.tiny import tiny_tokenizer

pytestmark = pytest.mark.engine
TEXTS = [
    "plain words, and a line\nbreak",
    "  leading  and trailing spaces  ",
    "emoji 🦊👩‍👩‍👧 and 漢字かな交じり文, ümläut, ع",
    "<think>\nhm\n</think>\n\nyes",
    "",
]


def byte_fallback_tokenizer() -> PreTrainedTokenizerFast:
    """The sort of vocabulary that Llama 2 and Gemma have: words with `▁`, and single bytes for the rest."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += ["▁", "▁the", "▁fox", "e", "s", "fox", ".", "▁▁", "é"]
    backend = Tokenizer(
        models.BPE({piece: place for place, piece in enumerate(pieces)}, [], byte_fallback=True)
    )
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    return tiny_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def streamed(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> list[str]:
    decoder = TokenDecoder(tokenizer)
    return [*(decoder.feed(token) for token in ids), decoder.flush()]


def at_once(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    text = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize("text", TEXTS)
def test_text_comes_back_in_pieces_without_half_characters(
    text: str, byte_level: PreTrainedTokenizerBase
) -> None:
    pieces = streamed(byte_level, byte_level.encode(text, add_special_tokens=False))
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)


@given(ids=st.lists(st.integers(0, 331), max_size=60))
@settings(max_examples=300)
def test_any_ids_of_a_byte_level_vocabulary(ids: list[int], byte_level: PreTrainedTokenizerBase) -> None:
    assert "".join(streamed(byte_level, ids)) == at_once(byte_level, ids)


FALLBACK = byte_fallback_tokenizer()


@given(ids=st.lists(st.integers(0, len(FALLBACK) - 1), max_size=40))
@settings(max_examples=300)
def test_any_ids_of_a_vocabulary_that_falls_back_to_bytes(ids: list[int]) -> None:
    assert "".join(streamed(FALLBACK, ids)) == at_once(FALLBACK, ids)


@given(text=st.text(max_size=30))
@settings(max_examples=200)
def test_any_text_survives_the_way_through_ids(text: str, byte_level: PreTrainedTokenizerBase) -> None:
    ids = byte_level.encode(text, add_special_tokens=False)
    assert "".join(streamed(byte_level, ids)) == at_once(byte_level, ids)


def test_a_character_appears_with_its_last_byte_and_half_of_one_at_the_end(
    byte_level: PreTrainedTokenizerBase,
) -> None:
    ids = byte_level.encode("a🦊", add_special_tokens=False)
    assert len(ids) == 5
    assert streamed(byte_level, ids) == ["a", "", "", "", "🦊", ""]
    assert streamed(byte_level, ids[:3])[-1] == at_once(byte_level, ids[:3])[1:] == "\ufffd"


def test_special_tokens_leave_no_text_and_thinking_tags_do(byte_level: PreTrainedTokenizerBase) -> None:
    ids = byte_level.convert_tokens_to_ids(["<|im_start|>", "<think>", "<|im_end|>"])
    assert streamed(byte_level, ids) == ["", "<think>", "", ""]
