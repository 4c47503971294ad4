"""What the live model says to a fixed set of prompts, and how far an export is from it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import torch
from transformers import PreTrainedModel

from engine.adapter_works import Place, Reference
from engine.backend import Turn
from engine.protocol.adapters import Check
from engine.protocol.specs import ChatSettings, Sampling
from engine.workers.export.merge import stopped
from engine.workers.loaded import LoadedModel
from engine.workers.prefix import PrefixCache
from engine.workers.prompt import build_prompt
from engine.workers.steps import CachedSteps, RecomputingSteps, Steps

PROMPTS = (
    "Who are you?",
    "What is 17 + 25?",
    "Write one sentence about the sea.",
    "What is the capital of France?",
)
TEXTS = (
    *PROMPTS,
    "In 1984, 3.14159 x 10^23 ≠ 60221",
    "Ça va? Größe, 你好, Привет!",
    "def f(x):\n\treturn  x ** 2\n\n",
    "I'll don't WE'VE",
)
"""What another tokenizer must split into as many tokens."""
REPLY = 12
"""Tokens of each reply that are compared."""
TOP = 20
"""Tokens of each position that are kept."""
LIKELY = 0.01
"""Tokens below this probability are noise, and are not compared."""
AGREED = 0.75
"""Share of positions whose likeliest token must be the same; near ties may fall either way."""
TOLERANCES = {"peft": 1e-3, "f32": 0.02, "f16": 0.05, "bf16": 0.3, "q8_0": 0.5}
"""Largest difference of a likely token's log-probability, by how the export holds its weights. Nats."""
ROUGH = {"bfloat16": 0.3, "float16": 0.1}
"""Added where the live model computes in 16 bits."""
PACKED = 1.5
"""Added where the live model's weights are packed to 8 or 4 bits."""


def prompt_ids(loaded: LoadedModel, text: str) -> list[int]:
    """A question as the model's template puts it, without thinking. Raises EngineError."""
    settings = ChatSettings(think=False, sampling=Sampling(temperature=0.0))
    info = loaded.info
    return build_prompt(
        loaded.vocabulary, (Turn("user", text),), settings, thinking=info.thinking, context=info.context
    ).ids


def new_steps(loaded: LoadedModel, model: PreTrainedModel) -> Steps:
    """A sequence of its own; no chat's cache is touched."""
    return (
        CachedSteps(model, PrefixCache(None, model.config)) if loaded.cacheable else RecomputingSteps(model)
    )


def greedy(
    loaded: LoadedModel,
    model: PreTrainedModel,
    prompt: Sequence[int],
    tokens: int,
    cancelled: threading.Event,
    forced: Sequence[int] = (),
) -> tuple[list[int], list[torch.Tensor]]:
    """A reply's tokens, and the log-probabilities `[vocabulary]` before each of them, float32 on the CPU.

    `forced` are taken in place of the likeliest. Raises EngineError `cancelled`.
    """
    steps = new_steps(loaded, model)
    logits = steps.prefill(prompt, lambda: not cancelled.is_set())
    ids: list[int] = []
    logs: list[torch.Tensor] = []
    while logits is not None and not cancelled.is_set():
        logs.append(logits.log_softmax(-1).cpu())
        token = forced[len(ids)] if forced else int(logs[-1].argmax())
        ids.append(token)
        if len(ids) >= (len(forced) or tokens) or (not forced and token in loaded.vocabulary.stops):
            return ids, logs
        logits = steps.feed([token])
    raise stopped()


def reference(loaded: LoadedModel, adapted: PreTrainedModel, cancelled: threading.Event) -> Reference:
    """The live model with the adapter on, beside the base alone. Raises EngineError."""
    ids, starts, places, effect = [], [], [], 0.0
    for prompt in (prompt_ids(loaded, text) for text in PROMPTS):
        reply, logs = greedy(loaded, adapted, prompt, REPLY, cancelled)
        _, base = greedy(loaded, loaded.model, prompt, REPLY, cancelled, forced=reply)
        told = tuple(place(row) for row in logs)
        effect = max(
            effect, *(_furthest(each, row) for each, row in zip(told, map(place_all, base), strict=True))
        )
        ids.append((*prompt, *reply))
        starts.append(len(prompt))
        places.append(told)
    encode = loaded.vocabulary.tokenizer.encode
    counts = tuple((text, len(encode(text, add_special_tokens=False))) for text in TEXTS)
    letter, info = encode("a", add_special_tokens=False)[0], loaded.info
    return Reference(
        *(tuple(ids), tuple(starts), tuple(places), effect, counts, letter, info.load_dtype, info.quant)
    )


def place(logs: torch.Tensor) -> Place:
    """The likeliest tokens of one row of log-probabilities `[vocabulary]`."""
    values, ids = logs.topk(min(TOP, logs.shape[-1]))
    return Place(tuple(zip(ids.tolist(), values.tolist(), strict=True)))


def place_all(logs: torch.Tensor) -> Mapping[int, float]:
    """A row as a mapping from id to log-probability."""
    return dict(enumerate(logs.tolist()))


def judge(told: Reference, found: Sequence[Sequence[Mapping[int, float]]], form: str) -> Check:
    """Compare log-probabilities by id, prompt by prompt and position by position; fewer positions may be
    found than told. `form`: a key of TOLERANCES."""
    tolerance = TOLERANCES[form]
    if form != "peft":
        tolerance += ROUGH.get(told.dtype, 0.0) + (PACKED if told.quant else 0.0)
    furthest, same, places = 0.0, 0, 0
    for wanted, rows in zip(told.places, found, strict=True):
        for each, row in zip(wanted, rows, strict=False):
            furthest = max(furthest, _furthest(each, row))
            same += max(row, key=row.__getitem__) == each.top[0][0]
            places += 1
    agreement = same / places if places else 0.0
    ok = places > 0 and furthest <= tolerance and agreement >= AGREED
    words = (
        f"{'The same as' if ok else 'NOT the same as'} the live model: log-probabilities of likely tokens "
        f"differ by at most {furthest:.3g} (allowed {tolerance:.3g}; the adapter itself moves them by up to "
        f"{told.effect:.3g}), and {agreement:.0%} of {places} greedy tokens agree"
    )
    return Check(True, ok, len(told.ids), places, furthest, tolerance, told.effect, agreement, words)


def unchecked(why: str) -> Check:
    """The check of what could not be compared."""
    return Check(words=f"Not compared with the live model: {why}")


def _furthest(each: Place, row: Mapping[int, float]) -> float:
    """Largest difference among the likely tokens; one that is not told of counts as the least likely."""
    least = min(row.values())
    likely = [(token, log) for token, log in each.top if 2.718281828**log >= LIKELY]
    return max((abs(log - row.get(token, least)) for token, log in likely), default=0.0)
