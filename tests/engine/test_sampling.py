"""The sampler against a plain reference: same distribution, same seed same draw, greedy is argmax."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from engine.protocol.errors import EngineError
from engine.protocol.specs import Sampling, ThinkingKind
from engine.workers.defaults import GREEDY, QWEN3_PLAIN, QWEN3_THINKING, ModelDefaults, resolve
from engine.workers.sampling import Sampler

pytestmark = pytest.mark.engine
VOCABULARY = 12
DRAWS = 4000
LOGITS = torch.tensor([2.0, 1.8, -1.0, 0.5, 3.1, 0.0, 2.9, -3.0, 1.1, 0.7, -0.2, 2.2])


def expected(sampling: Sampling, seen: list[int]) -> torch.Tensor:
    """Probabilities `[VOCABULARY]` as transformers' own processors leave them."""
    steps = LogitsProcessorList()
    if sampling.repetition_penalty:
        steps.append(RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
    steps.append(TemperatureLogitsWarper(sampling.temperature or 1.0))
    if sampling.top_k:
        steps.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p is not None:
        steps.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        steps.append(MinPLogitsWarper(sampling.min_p))
    return steps(torch.tensor([seen], dtype=torch.long), LOGITS[None].clone())[0].softmax(-1)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1.0),
        Sampling(temperature=0.6, top_k=5),
        Sampling(temperature=1.3, top_p=0.8),
        Sampling(temperature=0.7, top_k=8, top_p=0.9),
        Sampling(temperature=1.0, min_p=0.2),
        Sampling(temperature=1.5, top_k=6, top_p=0.95, min_p=0.1, repetition_penalty=1.4),
        Sampling(temperature=1.0, top_k=VOCABULARY + 5, top_p=0.5),
    ],
)
def test_draws_agree_with_the_reference_distribution(sampling: Sampling) -> None:
    """Chi-square of 4,000 draws is below the 0.999 quantile (11 degrees of freedom)."""
    seen = [4, 2]
    counts = torch.zeros(VOCABULARY)
    for seed in range(DRAWS):
        counts[Sampler(Sampling(**fields(sampling), seed=seed), seen)(LOGITS)] += 1
    wanted = expected(sampling, seen) * DRAWS
    possible = wanted > 0
    assert counts[~possible].sum() == 0
    chi_square = ((counts - wanted)[possible] ** 2 / wanted[possible]).sum()
    assert chi_square < 31.3


def fields(sampling: Sampling) -> dict[str, float]:
    names = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")
    return {name: getattr(sampling, name) for name in names if getattr(sampling, name) is not None}


@given(
    st.lists(st.floats(-20, 20, width=32), min_size=2, max_size=40),
    st.integers(0, 50),
    st.floats(0, 1),
    st.floats(0, 1),
)
@settings(max_examples=60)
def test_whatever_the_settings_a_possible_token_is_drawn(
    logits: list[float], top_k: int, top_p: float, min_p: float
) -> None:
    token = Sampler(Sampling(temperature=0.8, top_k=top_k, top_p=top_p, min_p=min_p, seed=1))(
        torch.tensor(logits)
    )
    assert 0 <= token < len(logits)
    if 0 < top_k < len(logits):
        assert logits[token] >= sorted(logits, reverse=True)[top_k - 1]


def test_greedy_is_argmax_even_between_ties() -> None:
    logits = torch.zeros(1000)
    logits[[7, 400, 900]] = 3.0
    for sampling in (Sampling(), Sampling(temperature=0.0, top_k=20), Sampling(temperature=0.9, top_k=1)):
        assert Sampler(sampling)(logits) == int(logits.argmax())


def test_the_same_seed_draws_the_same_tokens_and_leaves_torchs_own_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()

    def ten(seed: int) -> list[int]:
        sampler = Sampler(Sampling(temperature=1.5, seed=seed))
        return [sampler(LOGITS) for _ in range(10)]

    assert ten(3) == ten(3)
    assert ten(3) != ten(4)
    assert ten(-1) == ten(-1)
    assert torch.equal(before, torch.get_rng_state())


def test_the_penalty_counts_what_was_just_drawn() -> None:
    sampler = Sampler(Sampling(repetition_penalty=10.0))
    assert [sampler(LOGITS), sampler(LOGITS)] == [4, 6]


@pytest.mark.parametrize(
    "sampling", [Sampling(), Sampling(temperature=0.7, top_k=4), Sampling(temperature=1.0)]
)
def test_logits_that_are_no_numbers_are_a_fault(sampling: Sampling) -> None:
    with pytest.raises(EngineError) as caught:
        Sampler(sampling)(torch.full((8,), float("nan")))
    assert caught.value.info.code == "broken_logits"


QWEN3_FILE = {"do_sample": True, "temperature": 0.6, "top_k": 20, "top_p": 0.95}


@pytest.mark.parametrize(
    ("file", "family", "thinking", "think", "plain"),
    [
        (QWEN3_FILE, "qwen3", "switchable", QWEN3_THINKING, QWEN3_PLAIN),
        (None, "qwen3_moe", "switchable", QWEN3_THINKING, QWEN3_PLAIN),
        ({"do_sample": False}, "qwen3", "switchable", GREEDY, GREEDY),
        ({"temperature": 0.6}, "qwen3", "switchable", GREEDY, GREEDY),
        (None, "llama", "never", GREEDY, GREEDY),
        (
            {"do_sample": True, "temperature": 0.7, "top_k": 20, "top_p": 0.8},
            "qwen3",
            "never",
            QWEN3_PLAIN,
            QWEN3_PLAIN,
        ),
        (
            {"do_sample": True, "repetition_penalty": 1.1},
            "qwen2",
            "never",
            Sampling(temperature=1.0, top_k=50, top_p=1.0, min_p=0.0, repetition_penalty=1.1),
            Sampling(temperature=1.0, top_k=50, top_p=1.0, min_p=0.0, repetition_penalty=1.1),
        ),
    ],
)
def test_defaults_are_the_models_own(
    file: dict[str, object] | None, family: str, thinking: ThinkingKind, think: Sampling, plain: Sampling
) -> None:
    defaults = ModelDefaults(file, family, thinking)
    assert (defaults.thinking, defaults.plain) == (think, plain)


def test_what_is_wanted_wins_and_a_seed_is_drawn() -> None:
    used = resolve(Sampling(temperature=0.0, max_tokens=9), QWEN3_THINKING)
    assert (used.temperature, used.top_k, used.top_p, used.max_tokens) == (0.0, 20, 0.95, 9)
    assert used.seed is not None
    assert resolve(Sampling(seed=0), GREEDY).seed == 0
