"""One token by the short way: logits and ids as the model itself gives them, and only for what it knows."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import PreTrainedModel

from engine.backend import LoadSpec
from engine.workers import lean_step as lean_module
from engine.workers.lean_step import knows, lean_step
from engine.workers.loaded import load
from engine.workers.prefix import PrefixCache
from engine.workers.steps import CachedSteps
from engine.workers.training.adapter import skeleton
from tests.support.tiny import WINDOW, tiny_model

pytestmark = pytest.mark.engine
PROMPT = [7 * place % 300 + 3 for place in range(2 * WINDOW)]
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256, "rope_theta": 1e4}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 256,
    "rope_theta": 1e4,
}


def made(
    folder: Path, family: str, dtype: str = "float32", quant: str = "", **changes: object
) -> PreTrainedModel:
    info = tiny_model(folder, family, **changes)
    return load(LoadSpec(info, dtype, quant), 1, lambda *_: None, threading.Event()).model


@torch.inference_mode()
def rows(
    model: PreTrainedModel, prefix: PrefixCache, prompt: list[int], forced: list[int], *, short: bool
) -> torch.Tensor:
    """Logits after the prompt and each forced token, by the short way or by the model itself."""
    steps = CachedSteps(model, prefix)
    if not short:
        steps._asked = True
    first = steps.prefill(prompt, lambda: True)
    assert first is not None
    return torch.stack([first, *(steps.feed([token]) for token in forced)])


def both(model: PreTrainedModel, count: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of ours and of the model, over a fresh cache and then over a reused one."""
    forced = [11 * place % 300 + 3 for place in range(count)]
    prefixes = PrefixCache("key", model.config), PrefixCache("key", model.config)
    found: list[list[torch.Tensor]] = [[], []]
    for prompt in (PROMPT, [*PROMPT, *forced[:5], 9, 8]):
        for place, prefix in enumerate(prefixes):
            found[place].append(rows(model, prefix, prompt, forced, short=place == 0))
    return torch.cat(found[0]), torch.cat(found[1])


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("llama", {}),
        ("llama", {"rope_parameters": LLAMA3, "num_key_value_heads": 4}),
        ("qwen2", {}),
        ("qwen3", {}),
        ("qwen3", {"rope_parameters": YARN}),
        ("mistral", {}),
        ("mistral", {"sliding_window": None}),
    ],
)
def test_float32_logits_and_ids_are_the_models_with_a_fresh_and_a_reused_cache(
    family: str, changes: dict[str, object], tmp_path: Path
) -> None:
    model = made(tmp_path, family, **changes)
    assert lean_step(model) is not None
    ours, theirs = both(model)
    assert torch.equal(ours.argmax(-1), theirs.argmax(-1))
    assert (ours - theirs).abs().max() <= 1e-4 * theirs.std()


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_bfloat16_logits_are_close(family: str, tmp_path: Path) -> None:
    model = made(tmp_path, family, "bfloat16")
    assert lean_step(model) is not None
    ours, theirs = both(model)
    assert (ours - theirs).abs().max() <= 0.2 * theirs.std()


@pytest.mark.parametrize("quant", ["int8", "int4"])
@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_packed_weights_take_the_short_way(quant: str, family: str, tmp_path: Path) -> None:
    sizes = {"hidden_size": 64, "intermediate_size": 96, "head_dim": 16}
    model = made(tmp_path, family, "bfloat16", quant, **sizes)
    assert lean_step(model) is not None
    ours, theirs = both(model)
    assert (ours - theirs).abs().max() <= 0.25 * theirs.std()


def test_an_adapter_copy_has_a_step_of_its_own(tmp_path: Path) -> None:
    pristine = made(tmp_path, "qwen3")
    plain = lean_step(pristine)
    torch.manual_seed(0)
    lora = LoraConfig(
        task_type="CAUSAL_LM", r=2, target_modules=["q_proj", "down_proj"], init_lora_weights=False
    )
    adapted = get_peft_model(skeleton(pristine), lora).get_base_model().requires_grad_(False).eval()
    ours, theirs = both(adapted)
    assert lean_step(adapted) not in (None, plain)
    assert (ours - theirs).abs().max() <= 1e-4 * theirs.std()
    assert not torch.allclose(ours, both(pristine)[0], atol=1e-2)


def test_a_hook_that_comes_or_goes_is_noticed(tmp_path: Path) -> None:
    model = made(tmp_path, "llama")
    assert lean_step(model) is not None
    handle = model.model.layers[1].mlp.register_forward_hook(lambda _module, _args, out: out * 0)
    assert lean_step(model) is None
    ours, theirs = both(model, 3)
    assert torch.equal(ours, theirs)
    handle.remove()
    assert lean_step(model) is not None


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("olmo2", {}),
        ("qwen3_moe", {"num_experts": 4, "moe_intermediate_size": 16}),
        ("llama", {"hidden_act": "gelu"}),
        ("llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}}),
    ],
)
def test_what_it_does_not_know_is_left_to_the_model(
    family: str, changes: dict[str, object], tmp_path: Path
) -> None:
    model = made(tmp_path, family, **changes)
    assert not knows(model)
    assert lean_step(model) is None
    ours, theirs = both(model, 2)
    assert torch.equal(ours, theirs)


def test_a_step_that_differs_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = made(tmp_path, "llama")
    monkeypatch.setattr(lean_module, "_normed", lambda x, weight, eps: x * weight)
    assert lean_step(model) is None
    assert lean_step(model) is None
    assert len([record for record in caplog.records if record.name == lean_module.__name__]) == 1
