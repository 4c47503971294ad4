"""Our cache layers against transformers', and a reused prefix against a fresh prefill."""

from __future__ import annotations

import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from engine.backend import LoadSpec
from engine.workers.cache import STEP, GrowingLayer, GrowingSlidingLayer
from engine.workers.loaded import LoadedModel, load
from engine.workers.prefix import SNAPSHOTS, PrefixCache, common_prefix
from engine.workers.steps import CachedSteps
from tests.support.tiny import WINDOW, tiny_model

pytestmark = pytest.mark.engine


def states(length: int, offset: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys `[1, 2, length, 4]` and values `[1, 2, length, 3]` that tell their positions."""
    positions = torch.arange(offset, offset + length, dtype=torch.float32)[None, None, :, None]
    return positions.expand(1, 2, -1, 4) + 0.25, positions.expand(1, 2, -1, 3) + 0.5


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(0, 40)), min_size=1, max_size=8))
@settings(max_examples=40)
def test_a_growing_layer_holds_what_a_dynamic_one_holds(moves: list[tuple[int, int]]) -> None:
    ours, theirs = GrowingLayer(), DynamicLayer()
    for length, drop in moves:
        new = states(length, ours.get_seq_length())
        for left, right in zip(ours.update(*new), theirs.update(*new), strict=True):
            assert torch.equal(left, right)
        drop = min(drop, ours.get_seq_length() - 1)
        ours.crop(-drop)
        theirs.crop(-drop)
        assert ours.get_seq_length() == theirs.get_seq_length()
        assert torch.equal(ours.keys, theirs.keys)
    assert ours.nbytes() <= (4 + 3) * 2 * 4 * (sum(length for length, _ in moves) + STEP)


def test_a_token_is_written_in_place_until_the_buffer_is_full() -> None:
    layer = GrowingLayer()
    layer.update(*states(STEP - 2))
    place = layer.keys.data_ptr()
    for offset in (STEP - 2, STEP - 1):
        layer.update(*states(1, offset))
        assert layer.keys.data_ptr() == place
    layer.update(*states(1, STEP))
    assert layer.keys.data_ptr() != place
    assert torch.equal(layer.keys[0, 0, :, 0], torch.arange(STEP + 1) + 0.25)
    with pytest.raises(ValueError, match="minus"):
        layer.crop(1)
    layer.reset()
    assert (layer.get_seq_length(), layer.nbytes()) == (0, 0)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12))
@settings(max_examples=60)
def test_a_sliding_layer_shows_the_same_rows_and_keeps_the_rest(lengths: list[int]) -> None:
    ours, theirs = GrowingSlidingLayer(WINDOW), DynamicSlidingWindowLayer(WINDOW)
    for length in lengths:
        assert ours.get_mask_sizes(length) == theirs.get_mask_sizes(length)
        new = states(length, ours.get_seq_length())
        for left, right in zip(ours.update(*new), theirs.update(*new), strict=True):
            assert torch.equal(left, right)
        assert ours.get_seq_length() == theirs.get_seq_length() == ours.keys.shape[-2]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, LoadedModel]:
    models = {}
    for family in ("qwen3", "mistral", "gemma3_text", "qwen3_5_text"):
        info = tiny_model(tmp_path_factory.mktemp("models") / family, family)
        models[family] = load(LoadSpec(info, "float32"), 1, lambda *_: None, threading.Event())
    return models


@pytest.mark.parametrize("family", ["qwen3", "mistral", "gemma3_text", "qwen3_5_text"])
@given(
    prompts=st.lists(
        st.tuples(st.integers(0, 45), st.lists(st.integers(5, 40), min_size=1, max_size=25)),
        min_size=2,
        max_size=5,
    )
)
@settings(max_examples=12)
def test_a_reused_prefix_gives_the_logits_of_a_fresh_prefill(
    family: str, prompts: list[tuple[int, list[int]]], loaded: dict[str, LoadedModel]
) -> None:
    """Each prompt shares a random prefix with the one before; a few tokens are decoded in between."""
    model = loaded[family].model
    prefix = PrefixCache("key", model.config)
    before: list[int] = []
    with torch.inference_mode():
        for shared, tail in prompts:
            prompt = before[:shared] + tail
            steps = CachedSteps(model, prefix, len(prompt) // 2)
            reused = steps.prefill(prompt, lambda: True)
            fresh = CachedSteps(model, PrefixCache("key", model.config)).prefill(prompt, lambda: True)
            assert reused is not None
            # the gated delta rule is computed in other chunks: 2e-5 as a rule, seldom a little over 1e-4
            assert torch.allclose(reused, fresh, atol=5e-4)
            steps.feed([7, 9])
            before = list(prefix.ids)
            assert before == [*prompt, 7, 9]


def prefilled(model: LoadedModel, prompt: list[int], boundary: int | None = None) -> PrefixCache:
    prefix = PrefixCache("key", model.model.config)
    with torch.inference_mode():
        CachedSteps(model.model, prefix, boundary).prefill(prompt, lambda: True)
    return prefix


@pytest.mark.parametrize("family", ["qwen3", "mistral", "gemma3_text"])
def test_attention_rewinds_to_any_prefix(family: str, loaded: dict[str, LoadedModel]) -> None:
    prompt = list(range(5, 60))
    prefix = prefilled(loaded[family], prompt)
    assert prefix.align([*prompt[:30], 3, 3]) == 30
    assert prefix.align(prompt[:30]) == 29
    assert prefix.align([1, 2]) == 0


def test_a_hybrid_returns_to_a_boundary_or_starts_again(loaded: dict[str, LoadedModel]) -> None:
    prompt = list(range(5, 60))
    with torch.inference_mode():
        prefix = prefilled(loaded["qwen3_5_text"], prompt, boundary=40)
        assert prefix.align([*prompt, 3]) == len(prompt)
        assert prefix.align([*prompt[:50], 3]) == 40
        assert prefix.align([*prompt[:39], 3]) == 0
    assert prefix.ids == []


def test_snapshots_are_few_and_counted(loaded: dict[str, LoadedModel]) -> None:
    model = loaded["qwen3_5_text"].model
    prefix = PrefixCache("key", model.config)
    with torch.inference_mode():
        CachedSteps(model, prefix).prefill([5, 6, 7], lambda: True)
        alone = prefix.nbytes()
        for length in range(4, 14):
            CachedSteps(model, prefix).prefill(list(range(5, 5 + length)), lambda: True)
        grown = prefix.nbytes()
    assert 0 < grown - alone <= SNAPSHOTS * alone


def test_the_common_prefix_ends_at_the_first_difference() -> None:
    assert common_prefix([1, 2, 3], [1, 2, 4]) == 2
    assert common_prefix([], [1]) == 0
    assert common_prefix([1, 2], [1, 2, 3]) == 2
