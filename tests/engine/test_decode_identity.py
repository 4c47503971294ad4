"""Our loop against transformers: greedy float32 replies have the same ids, cache fresh or reused."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from engine.backend import LoadSpec, Turn
from engine.protocol.specs import ChatSettings, Sampling
from engine.workers import steps as steps_module
from engine.workers.decode import Decoding, Limits
from engine.workers.loaded import LoadedModel, load
from engine.workers.prefix import PrefixCache
from engine.workers.prompt import Prompt, build_prompt
from engine.workers.sampling import Sampler
from engine.workers.steps import CachedSteps, RecomputingSteps, Steps
from engine.workers.tokens import TokenDecoder
from engine.workers.writer import ReplyWriter
from tests.support.deep import deep
from tests.support.tiny import ARCHITECTURES, CONTEXT, VISION, WINDOW, RecordingSink, tiny_model

pytestmark = pytest.mark.engine
NEW = 64
OFTEN = ("qwen2", "qwen3", "qwen3_moe", "qwen3_5_text", "gemma3_text", "llama", "mistral")
"""Families whose caches differ; `make deep` takes the others too."""


class Asked:
    """A loaded tiny model, asked turn after turn, and transformers' own answer to the same prompt."""

    def __init__(self, folder: Path, family: str, **changes: object) -> None:
        info = tiny_model(folder, family, **changes)
        self.loaded: LoadedModel = load(LoadSpec(info, "float32"), 1, lambda *_: None, threading.Event())
        self.reference = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self.begin_anew()

    def begin_anew(self) -> None:
        """Another chat."""
        self.prefix = PrefixCache("key", self.loaded.model.config)
        self.turns: tuple[Turn, ...] = ()

    def prompt(self, text: str) -> Prompt:
        self.turns += (Turn("user", text),)
        settings = ChatSettings()
        vocabulary = self.loaded.vocabulary
        return build_prompt(vocabulary, self.turns, settings, thinking="switchable", context=CONTEXT)

    @torch.inference_mode()
    def ours(self, prompt: Prompt, steps: Steps | None = None) -> tuple[list[int], RecordingSink, int]:
        """Ids of our reply, what the sink got, and how many tokens of the prompt were cached."""
        vocabulary = self.loaded.vocabulary
        steps = steps or CachedSteps(self.loaded.model, self.prefix, vocabulary.boundary(prompt.ids))
        greedy, ids, sink = Sampler(Sampling()), [], RecordingSink()

        def recorded(logits: torch.Tensor) -> int:
            ids.append(greedy(logits))
            return ids[-1]

        writer = ReplyWriter(TokenDecoder(vocabulary.tokenizer), vocabulary.parser(prompt.thinking), sink)
        limits = Limits(CONTEXT, NEW, None)
        decoding = Decoding(
            steps, recorded, writer, sink, limits, stops=vocabulary.stops, early_stop=vocabulary.early_stop()
        )
        decoding.run(prompt)
        self.turns += (Turn("assistant", writer.text("answer"), writer.text("thinking")),)
        return ids, sink, steps.cached

    def theirs(self, prompt: Prompt) -> list[int]:
        ids = torch.tensor([prompt.ids])
        out = self.reference.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=NEW
        )
        return out[0, len(prompt.ids) :].tolist()


@pytest.mark.parametrize(
    "family",
    [name if name in OFTEN else pytest.param(name, marks=deep) for name in sorted({*ARCHITECTURES, *VISION})],
)
def test_greedy_is_token_identical_to_generate_over_three_turns(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the prompt in one piece, and in many."""
    asked = Asked(tmp_path, family)
    assert asked.loaded.cacheable
    theirs: dict[tuple[int, ...], list[int]] = {}
    for chunk in (steps_module.CHUNK, 16):
        monkeypatch.setattr(steps_module, "CHUNK", chunk)
        asked.begin_anew()
        for turn, text in enumerate(("What is one and two?", "how are you today, dog?", "the fox 🦊 sleeps")):
            prompt = asked.prompt(text)
            assert len(prompt.ids) > WINDOW
            ids, _, cached = asked.ours(prompt)
            expected = theirs.get(tuple(prompt.ids)) or asked.theirs(prompt)
            theirs[tuple(prompt.ids)] = expected
            assert ids == expected
            assert len(ids) == NEW
            assert (cached > 0) == (turn > 0)


def test_a_reply_repeats_itself_when_asked_again(tmp_path: Path) -> None:
    """The same prompt finds all but its last token in the cache, and gives the same ids."""
    asked = Asked(tmp_path, "qwen3")
    prompt = asked.prompt("What is the sum?")
    first, _, fresh = asked.ours(prompt)
    again, _, cached = asked.ours(prompt)
    assert again == first
    assert (fresh, cached) == (0, len(prompt.ids) - 1)


def test_without_a_cache_the_reply_is_the_same_but_slower(tmp_path: Path) -> None:
    asked = Asked(tmp_path, "mistral")
    prompt = asked.prompt("What is the sum?")
    ids, _, cached = asked.ours(prompt, RecomputingSteps(asked.loaded.model))
    assert ids == asked.theirs(prompt)
    assert cached == 0


@deep
@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("gpt2", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": CONTEXT}),
        ("phi3", {}),
        ("gemma2", {"sliding_window": WINDOW, "attn_logit_softcapping": 30.0}),
        ("falcon", {"alibi": True, "new_decoder_architecture": False}),
        ("mamba", {"state_size": 8}),
        (
            "granitemoehybrid",
            {
                "mamba_n_heads": 8,
                "mamba_d_head": 8,
                "mamba_d_state": 8,
                "head_dim": None,
                "layer_types": ["mamba", "attention", "mamba"],
            },
        ),
        ("lfm2", {"layer_types": ["conv", "full_attention", "conv"]}),
    ],
)
def test_types_without_a_test_of_their_own_are_right_too(
    family: str, changes: dict[str, object], tmp_path: Path
) -> None:
    """Whether the load finds them fit for our cache or not."""
    asked = Asked(tmp_path, family, **changes)
    steps = None if asked.loaded.cacheable else RecomputingSteps(asked.loaded.model)
    for text in ("What is one and two?", "how are you today, dog?"):
        prompt = asked.prompt(text)
        ids, _, _ = asked.ours(prompt, steps)
        assert ids == asked.theirs(prompt)
        steps = None if asked.loaded.cacheable else RecomputingSteps(asked.loaded.model)
