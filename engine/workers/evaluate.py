"""How likely a model holds given answers: forwards without a gradient, beside the chat."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from engine.data.rows import Said
from engine.protocol.errors import EngineError, ErrorInfo, fault
from engine.score_works import Scored, ScoreRow, ScoreSink, ScoreSpec
from engine.workers.adapted import AdaptedModels
from engine.workers.device import (
    give_back_memory,
    is_out_of_memory,
    out_of_memory,
    shares_processor,
    use_threads,
)
from engine.workers.gate import Gate
from engine.workers.loaded import LoadedModel
from engine.workers.training.base import labeller
from engine.workers.training.batches import padded
from engine.workers.training.head import Head
from engine.workers.training.labels import Example

ROWS = 16
"""Sequences of one forward at most."""
TOKENS = 4096
"""Of one forward at most, padding included, unless a single sequence is longer."""
CHUNK = 256
"""Rows of logits that exist at a time."""


class TorchScorer:
    """See engine.score_works.Scorer."""

    def __init__(self, models: Callable[[str], LoadedModel | None], gate: Gate) -> None:
        self._models = models
        self._gate = gate
        self._adapted = AdaptedModels()

    def forget(self, serial: int) -> None:
        """Let go of adapters on a load that is gone."""
        self._adapted.forget(serial)

    def score(self, spec: ScoreSpec, sink: ScoreSink) -> None:
        """Score all rows. Raises EngineError."""
        loaded = self._loaded(spec)
        use_threads(loaded.info.parameters)
        model = self._adapted.mixed(loaded, spec.adapters) if spec.adapters else loaded.model
        try:
            for places in _grouped(spec.rows):
                if sink.cancelled.is_set():
                    return
                if self._models(spec.model.id) is not loaded:
                    raise _not_loaded()
                self._some(loaded, model, spec, places, sink)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise out_of_memory("scoring answers", error) from error
        finally:
            give_back_memory()

    def _loaded(self, spec: ScoreSpec) -> LoadedModel:
        loaded = self._models(spec.model.id)
        if loaded is None:
            raise _not_loaded()
        return loaded

    def _some(
        self,
        loaded: LoadedModel,
        model: PreTrainedModel,
        spec: ScoreSpec,
        places: Sequence[int],
        sink: ScoreSink,
    ) -> None:
        found: dict[int, list[Example] | ErrorInfo] = {}
        for place in places:
            try:
                found[place] = [_example(loaded, spec.rows[place], text) for text in spec.rows[place].answers]
            except EngineError as error:
                found[place] = error.info
        whole = [each for examples in found.values() if isinstance(examples, list) for each in examples]
        scores = iter(self._scores(model, whole, sink))
        for place, examples in found.items():
            if isinstance(examples, ErrorInfo):
                sink.scored(place, examples)
                continue
            answers = tuple(islice(scores, len(examples)))
            if len(answers) == len(examples):  # fewer: it was stopped
                sink.scored(place, answers)

    def _scores(self, model: PreTrainedModel, examples: Sequence[Example], sink: ScoreSink) -> list[Scored]:
        scores: list[Scored] = []
        for batch in _batches(examples):
            if shares_processor(model.device):
                self._gate.wait(sink.cancelled)
            if sink.cancelled.is_set():
                return scores
            scores += score_batch(model, batch)
        return scores


@torch.inference_mode()
def score_batch(model: PreTrainedModel, batch: Sequence[Example]) -> list[Scored]:
    """The labelled tokens of each example, summed; on the model's device, in its dtype, summed in float32."""
    ids, labels = (part.to(model.device) for part in padded(batch))
    decoder: Any = model.get_decoder()
    # Padding stands to the right of everything real, where causal attention never looks: no mask is needed.
    hidden = decoder(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
    targets = labels[:, 1:]
    rows, columns = (targets != -100).nonzero().unbind(1)
    costs = _costs(model, hidden[rows, columns], targets[rows, columns])
    total = torch.zeros(len(batch), dtype=torch.float32, device=costs.device).index_add(0, rows, costs)
    counts = torch.bincount(rows, minlength=len(batch)).tolist()
    return [Scored(nll, count) for nll, count in zip(total.tolist(), counts, strict=True)]


def _costs(model: PreTrainedModel, hidden: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy of each row in nats, float32; the head may be packed, so it is asked as a module."""
    head = Head.of(model)
    costs = [
        torch.nn.functional.cross_entropy(head.logits(rows), wanted, reduction="none")
        for rows, wanted in zip(hidden.split(CHUNK), targets.split(CHUNK), strict=True)
    ]
    return torch.cat(costs) if costs else hidden.new_zeros(0, dtype=torch.float32)


def _example(loaded: LoadedModel, row: ScoreRow, answer: str) -> Example:
    """Raises EngineError where the template hides the answer, or it is longer than the context."""
    info = loaded.info
    labels = labeller(loaded.vocabulary, info)
    found = labels.example((*row.prompt, Said("assistant", answer))) if row.prompt else labels.text(answer)
    if found is None:
        raise fault("no_labels", "The model's chat template leaves this answer out")
    if info.context and len(found.ids) > info.context:
        raise fault("prompt_too_long", f"The row has {len(found.ids)} tokens, and {info.context} fit")
    return found


def _grouped(rows: Sequence[ScoreRow]) -> list[range]:
    """Places of rows whose answers are tokenised together."""
    return [range(start, min(start + ROWS, len(rows))) for start in range(0, len(rows), ROWS)]


def _batches(examples: Sequence[Example]) -> list[Sequence[Example]]:
    """Neighbours, as many as one forward takes; order is kept."""
    batches: list[list[Example]] = []
    longest = 0
    for example in examples:
        longest = max(longest, len(example.ids))
        if batches and len(batches[-1]) < ROWS and (len(batches[-1]) + 1) * longest <= TOKENS:
            batches[-1].append(example)
        else:
            batches.append([example])
            longest = len(example.ids)
    return list(batches)


def _not_loaded() -> EngineError:
    return fault("model_not_loaded", "The model was unloaded", remedy="Load it, then evaluate again")
