"""Finds out whether our loop computes what `generate` does, for model types that no test covers."""

from __future__ import annotations

import logging
from typing import Any

import torch
from transformers import PreTrainedModel

from engine.workers.prefix import PrefixCache
from engine.workers.steps import CachedSteps

PROMPT, NEW = 24, 6
"""Tokens of the probe's prompt and of its reply."""
TOLERANCE = {torch.float32: 0.05, torch.bfloat16: 0.5, torch.float16: 0.5}
"""Largest difference of a logit, in standard deviations of the logits; a wrong mask costs far more."""

log = logging.getLogger(__name__)


@torch.inference_mode()
def agrees_with_generate(model: PreTrainedModel) -> bool:
    """Whether prefill in chunks, single steps and a rewind give the logits of `generate`, within rounding."""
    try:
        prompt, reply, logits = _by_generate(model)
        return _compare(model, prompt, reply, logits)
    except Exception:  # foreign model code can fail in any way; the answer is then no
        log.exception("the probe of %s failed", model.config.model_type)
        return False


def _by_generate(model: PreTrainedModel) -> tuple[list[int], list[int], torch.Tensor]:
    """A fixed prompt, the greedy reply, and the logits `[NEW, vocabulary]` that led to it."""
    table: Any = model.get_input_embeddings()
    vocabulary = int(table.weight.shape[0])
    prompt = torch.arange(1, PROMPT + 1, device=model.device)[None] * 7919 % vocabulary
    generate: Any = model.generate
    out = generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        do_sample=False,
        min_new_tokens=NEW,
        max_new_tokens=NEW,
        output_logits=True,
        return_dict_in_generate=True,
    )
    return prompt[0].tolist(), out.sequences[0, PROMPT:].tolist(), torch.cat(out.logits).float()


def _compare(model: PreTrainedModel, prompt: list[int], reply: list[int], expected: torch.Tensor) -> bool:
    prefix = PrefixCache("probe", model.config)
    steps = CachedSteps(model, prefix)
    steps.feed(prompt[: PROMPT // 2])
    ours = [steps.feed(prompt[PROMPT // 2 :])]
    ours += [steps.feed([token]) for token in reply[:-1]]
    again = CachedSteps(model, prefix).prefill([*prompt, *reply[:2]], lambda: True)
    assert again is not None
    ours.append(again)
    limit = TOLERANCE.get(model.dtype, 0.5) * float(expected.std())
    difference = torch.stack(ours) - torch.cat([expected, expected[2:3]])
    return bool(difference.abs().max() <= limit)
