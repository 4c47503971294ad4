"""Picks the next token: greedy is argmax; sampling narrows to top-k before anything is sorted or drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from engine.protocol.errors import fault
from engine.protocol.specs import Sampling

_SEED_BITS = (1 << 63) - 1
FIRST, WIDER = 64, 8
"""Of so many scores top-p looks whether their mass is enough; each time it is not, at so many times more."""


class Sampler:
    """One reply's way of choosing, with a generator of its own.

    The order is transformers': repetition penalty, temperature, top-k, top-p, min-p. The process's default
    generator is never touched.
    """

    def __init__(self, sampling: Sampling, seen: Iterable[int] = ()) -> None:
        """`seen`: ids of the prompt, for the penalty. Unset fields are neutral; no temperature is greedy."""
        self.temperature = sampling.temperature or 0.0
        self.top_k = sampling.top_k or 0
        self.top_p = 1.0 if sampling.top_p is None else sampling.top_p
        self.min_p = sampling.min_p or 0.0
        self.penalty = sampling.repetition_penalty or 1.0
        self._seen = set(seen)
        self._places = torch.tensor(sorted(self._seen), dtype=torch.long)
        self._generator = torch.Generator().manual_seed((sampling.seed or 0) & _SEED_BITS)

    def __call__(self, logits: torch.Tensor) -> int:
        """The id chosen from logits `[vocabulary]`, float32. Raises EngineError `broken_logits` on NaN."""
        scores = self._penalised(logits)
        if self.temperature <= 0 or self.top_k == 1:
            best = scores.argmax()
            finite(scores[best])
            return self._seen_now(int(best))
        values, ids = self._narrowed(scores / self.temperature)
        drawn = torch.multinomial(values.softmax(-1), 1, generator=self._generator)
        return self._seen_now(int(drawn if ids is None else ids[drawn]))

    def _seen_now(self, token: int) -> int:
        if self.penalty != 1.0 and token not in self._seen:
            self._seen.add(token)
            self._places = torch.cat([self._places, self._places.new_tensor([token])])
        return token

    def _penalised(self, logits: torch.Tensor) -> torch.Tensor:
        if self.penalty == 1.0 or not self._seen:
            return logits
        self._places = self._places.to(logits.device)
        places = self._places[self._places < logits.shape[-1]]
        picked = logits[places]
        scaled = torch.where(picked < 0, picked * self.penalty, picked / self.penalty)
        return logits.index_put((places,), scaled)

    def _narrowed(self, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The scores left to draw from, on the CPU, and their ids (None: all, in order)."""
        ids: torch.Tensor | None = None
        whole = None
        if 0 < self.top_k < scores.shape[-1]:
            scores, ids = scores.topk(self.top_k)
        elif self.top_p < 1:
            whole = finite(scores.logsumexp(-1))
            scores, ids = _heaviest(scores, whole, self.top_p)
            whole = whole.cpu()
        # Few values, or one copy: drawn on the CPU, so that a seed means the same on each device.
        scores = finite(scores.cpu())
        if self.top_p < 1:
            probabilities = scores.softmax(-1) if whole is None else (scores - whole).exp()
            outside = probabilities.cumsum(-1) - probabilities >= self.top_p
            outside[0] = False
            scores = scores.masked_fill(outside, -math.inf)
        if self.min_p > 0:
            scores = scores.masked_fill(scores < scores.max() + math.log(self.min_p), -math.inf)
        return scores, None if ids is None else ids.cpu()


def _heaviest(scores: torch.Tensor, whole: torch.Tensor, mass: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The best scores, best first, and their ids: as many as hold this share of the probability, or more.

    `whole`: the logarithm of the sum of all exponentials. Sorting a vocabulary costs more than its head.
    """
    size = scores.shape[-1]
    count = FIRST
    while count * WIDER <= size:
        best, ids = scores.topk(count)
        if float((best - whole).exp().sum()) >= mass:
            return best, ids
        count *= WIDER
    return scores.sort(descending=True)


def finite(scores: torch.Tensor) -> torch.Tensor:
    """The scores as they are. Raises EngineError `broken_logits` when the best of them is no number."""
    if not math.isfinite(float(scores.max())):
        raise fault(
            "broken_logits",
            "The model computed no valid next token",
            "Its output is not a number, which damaged weights or float16 can cause",
            "Load it in bfloat16 or float32, or download it again",
        )
    return scores
