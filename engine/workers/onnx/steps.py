"""Token ids to logits by onnxruntime-genai, over one KV cache that rewinds and grows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnxruntime_genai as og
import torch

from engine.workers.prefix import common_prefix
from engine.workers.steps import CHUNK

ROOM = 1024
"""Tokens that a cache is made for at least; it is allocated whole."""


class OnnxSteps:
    """See engine.workers.steps.Steps. Kept from reply to reply, for what their prompts share."""

    def __init__(self, model: Any, context: int) -> None:
        """`model`: an onnxruntime_genai.Model; `context`: tokens that it was made for."""
        self._model = model
        self._context = context
        self._generator: Any = None
        self._room = 0
        self._ids: list[int] = []
        """Exactly the tokens that the cache has seen, in order."""
        self.cached = 0

    @property
    def fed(self) -> int:
        return len(self._ids)

    def prefill(self, prompt: Sequence[int], go_on: Callable[[], bool]) -> torch.Tensor | None:
        self._make_room(len(prompt))
        self._align(prompt)
        self.cached = len(self._ids)
        logits = None
        for start in range(self.cached, len(prompt), CHUNK):
            if not go_on():
                return None
            logits = self.feed(prompt[start : start + CHUNK])
        return logits

    def feed(self, ids: Sequence[int]) -> torch.Tensor:
        if len(self._ids) + len(ids) > self._room:
            known = list(self._ids)
            self._make_room(len(known) + len(ids))
            for start in range(0, len(known), CHUNK):
                self._append(known[start : start + CHUNK])
        self._append(ids)
        return torch.from_numpy(self._generator.get_logits()[0, -1]).float()

    def rows(self, ids: Sequence[int]) -> torch.Tensor:
        """One forward each: the library gives the logits of the last token alone."""
        return torch.stack([self.feed([each]) for each in ids])

    def drop(self) -> None:
        """Let go of the cache."""
        self._generator, self._room, self._ids = None, 0, []

    def _append(self, ids: Sequence[int]) -> None:
        try:
            self._generator.append_tokens(np.asarray(ids, dtype=np.int32))
        except BaseException:
            self.drop()  # nobody knows what it has seen
            raise
        self._ids.extend(ids)

    def _align(self, prompt: Sequence[int]) -> None:
        """Go back to what both have in common; at least one token is left, because its logits are wanted."""
        common = common_prefix(self._ids, prompt[:-1])
        if common == len(self._ids):
            return
        if not common:
            self._begin(self._room)
            return
        self._generator.rewind_to(common)
        del self._ids[common:]

    def _make_room(self, tokens: int) -> None:
        """A new, empty cache where the old one is too small for so many tokens."""
        if tokens > self._room:
            self._begin(min(max(self._context, tokens), max(ROOM, 2 * tokens)))

    def _begin(self, room: int) -> None:
        self.drop()
        options = og.GeneratorParams(self._model)
        options.set_search_options(max_length=room, do_sample=False)
        self._generator = og.Generator(self._model, options)
        self._room = room
