"""Our one-token attention against transformers' own, and where it stands aside."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import (
    chunked_causal_mask_function,
    sdpa_mask,
    sliding_window_causal_mask_function,
)

from engine.backend import LoadSpec
from engine.workers import attention
from engine.workers.attention import NAME, one_token_attention, one_token_mask, stock_attention
from engine.workers.loaded import LoadedModel, load
from engine.workers.prefix import PrefixCache
from engine.workers.steps import CachedSteps
from tests.support.tiny import WINDOW, tiny_model

pytestmark = pytest.mark.engine


def layer(groups: int) -> torch.nn.Module:
    module = torch.nn.Identity()
    module.num_key_value_groups = groups
    module.is_causal = True
    return module


def drawn(
    heads: int, queries: int, keys: int, length: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries `[1, heads, queries, 16]` as a projection leaves them; keys and values of a larger buffer."""
    torch.manual_seed(heads * length)
    query = torch.randn(1, queries, heads, 16).transpose(1, 2)
    key, value = (torch.randn(1, keys, length + 9, 16).narrow(-2, 0, length) for _ in range(2))
    return query, key, value


@pytest.mark.parametrize(("heads", "keys"), [(8, 1), (8, 2), (9, 3), (4, 4)])
@pytest.mark.parametrize("scaling", [None, 0.5])
@pytest.mark.parametrize("length", [1, 37])
def test_one_token_sees_what_sdpa_sees(heads: int, keys: int, scaling: float | None, length: int) -> None:
    """Many, several, and one key head; as many as queries."""
    parts = drawn(heads, 1, keys, length)
    ours, weights = one_token_attention(layer(heads // keys), *parts, None, scaling=scaling)
    theirs, _ = sdpa_attention_forward(layer(heads // keys), *parts, None, scaling=scaling)
    assert weights is None
    assert ours.shape == theirs.shape == (1, 1, heads, 16)
    assert torch.allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"queries": 3},
        {"mask": torch.tensor([[[[False] * 5 + [True] * 7]]])},
        {"position_bias": torch.full((1, 8, 1, 12), 0.5)},
    ],
)
def test_all_else_is_left_to_sdpa(changes: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        attention,
        "sdpa_attention_forward",
        lambda *a, **k: asked.append(k) or sdpa_attention_forward(*a, **k),
    )
    others = {name: value for name, value in changes.items() if name not in ("queries", "mask")}
    parts = drawn(8, int(changes.get("queries", 1)), 2, 12)
    ours, _ = one_token_attention(layer(4), *parts, changes.get("mask"), **others)
    theirs, _ = sdpa_attention_forward(layer(4), *parts, changes.get("mask"), **others)
    assert len(asked) == 1
    assert torch.equal(ours, theirs)


def test_a_softcap_is_still_refused() -> None:
    with pytest.raises(ValueError, match="softcap"):
        one_token_attention(layer(4), *drawn(8, 1, 2, 12), None, softcap=30.0)


def test_no_mask_where_one_token_sees_its_whole_window() -> None:
    window = {
        "batch_size": 1,
        "q_length": 1,
        "kv_length": WINDOW,
        "local_size": WINDOW,
        "mask_function": sliding_window_causal_mask_function(WINDOW),
    }
    assert one_token_mask(q_offset=40, kv_offset=41 - WINDOW, **window) is None
    assert sdpa_mask(q_offset=40, kv_offset=41 - WINDOW, **window).all()


def test_a_chunk_that_has_just_begun_hides_the_one_before() -> None:
    chunk = {
        "batch_size": 1,
        "q_length": 1,
        "kv_length": WINDOW,
        "local_size": WINDOW,
        "mask_function": chunked_causal_mask_function(WINDOW, torch.zeros(1, dtype=torch.long)),
    }
    place = {"q_offset": 3 * WINDOW, "kv_offset": 2 * WINDOW + 1}
    mask = one_token_mask(**place, **chunk)
    assert mask is not None
    assert torch.equal(mask, sdpa_mask(**place, **chunk))
    assert mask.sum() == 1


def loaded(folder: Path, family: str, **changes: object) -> LoadedModel:
    info = tiny_model(folder, family, **changes)
    return load(LoadSpec(info, "float32"), 1, lambda *_: None, threading.Event())


@pytest.mark.parametrize(
    "family", ["qwen2", "qwen3", "qwen3_moe", "llama", "mistral", "olmo2", "gemma3_text"]
)
def test_a_load_switches_it_on_and_tokens_go_through_it(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two key heads for four queries; sliding layers, too, once their window is full."""
    model = loaded(tmp_path, family).model
    taken = []

    def noted(query: torch.Tensor, *others: object, **named: object) -> torch.Tensor:
        taken.append(query.shape)
        return scaled_dot_product_attention(query, *others, **named)

    monkeypatch.setattr(attention, "scaled_dot_product_attention", noted)
    monkeypatch.setattr("engine.workers.steps.lean_step", lambda _: None)  # it has its own attention
    with torch.inference_mode():
        steps = CachedSteps(model, PrefixCache("key", model.config))
        steps.prefill(list(range(5, 5 + 2 * WINDOW)), lambda: True)
        assert taken == []
        ours = steps.feed([7])
        assert [shape[1] for shape in taken] == [2] * model.config.num_hidden_layers
        with stock_attention(model):
            steps = CachedSteps(model, PrefixCache("key", model.config))
            steps.prefill(list(range(5, 5 + 2 * WINDOW)), lambda: True)
            theirs = steps.feed([7])
    assert len(taken) == model.config.num_hidden_layers
    assert torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("falcon", {"new_decoder_architecture": True, "num_kv_heads": 2, "head_dim": None}),
        ("gemma2", {"attn_logit_softcapping": 30.0}),
    ],
)
def test_a_model_that_computes_its_attention_itself_keeps_it(
    family: str, changes: dict[str, object], tmp_path: Path
) -> None:
    assert loaded(tmp_path, family, **changes).model.config._attn_implementation != NAME


def test_a_model_on_another_device_keeps_its_attention(tmp_path: Path) -> None:
    model = loaded(tmp_path, "qwen3").model
    with stock_attention(model):
        assert not attention.use_own_attention(model, torch.device("cuda"))
        assert model.config._attn_implementation == "sdpa"
    assert model.config._attn_implementation == NAME


def test_gradients_flow_through_it(tmp_path: Path) -> None:
    """As a run needs them: rows of several tokens, and even of one."""
    model = loaded(tmp_path, "qwen3").model.train()
    for ids in ([[5, 6, 7, 8]], [[5]]):
        grads = {}
        for stock in (False, True):
            model.zero_grad()
            model.requires_grad_(True)
            ids_ = torch.tensor(ids)
            if stock:
                with stock_attention(model):
                    model(input_ids=ids_, labels=ids_).logits.sum().backward()
            else:
                model(input_ids=ids_, labels=ids_).logits.sum().backward()
            grads[stock] = model.model.layers[0].self_attn.v_proj.weight.grad.clone()
        assert grads[False].abs().sum() > 0
        assert torch.allclose(grads[False], grads[True], atol=1e-5)
