"""Several rows in one sequence, each blind to the others: less padding where rows are of unlike length.

Positions begin anew with each row, and transformers makes a block-diagonal mask of that. Layers with a
recurrent state know no mask: on them a row would remember the one before it, so hybrids are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import torch
from msgspec.structs import replace
from torch import Tensor
from transformers import PretrainedConfig

from engine.protocol.errors import fault
from engine.workers.training.labels import IGNORED, Example, Labeller, Tally
from engine.workers.training.loss import summed_loss

RECURRENT = ("linear", "mamba", "recurrent", "conv", "ssm")
"""Words in the names of layer types that carry a state from token to token."""
STATEFUL = ("linear_num_value_heads", "mamba_d_conv", "ssm_state_size")
"""Keys of the configs of models whose layers have a state."""
KERNEL = "flash-linear-attention"
"""What resets that state at each row's first token; transformers' own torch code ignores where rows begin."""


class Pack(msgspec.Struct, frozen=True):
    """Rows that share a sequence."""

    rows: list[Example]

    @property
    def tokens(self) -> int:
        return sum(row.tokens for row in self.rows)

    @property
    def labelled(self) -> int:
        return sum(row.labelled for row in self.rows)

    @property
    def longest(self) -> int:
        return self.tokens

    @property
    def ids(self) -> list[int]:
        """Of the first row, which stands for all where one example is looked at; so do its labels."""
        return self.rows[0].ids

    @property
    def labels(self) -> list[int]:
        return self.rows[0].labels


def packed(examples: Sequence[Example], length: int) -> list[Pack]:
    """All of them, in sequences of at most `length` tokens: the longest first, each where it fits first.

    No row is cut or left out; one that is longer than `length` has a sequence to itself.
    """
    bins: list[list[Example]] = []
    room: list[int] = []
    for example in sorted(examples, key=lambda row: -row.tokens):
        place = next((i for i, left in enumerate(room) if left >= example.tokens), len(bins))
        if place == len(bins):
            bins.append([])
            room.append(max(length, example.tokens))
        bins[place].append(example)
        room[place] -= example.tokens
    return [Pack(rows) for rows in bins]


def laid_out(batch: Sequence[Pack]) -> tuple[Tensor, Tensor, Tensor]:
    """(ids, labels, positions), each int64 [sequences, longest]; padded on the right with 0, -100 and on."""
    longest = max(pack.tokens for pack in batch)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    labels = torch.full((len(batch), longest), IGNORED)
    positions = torch.zeros(len(batch), longest, dtype=torch.long)
    for line, pack in enumerate(batch):
        start = 0
        for row in pack.rows:
            end = start + row.tokens
            ids[line, start:end] = torch.tensor(row.ids)
            # Behind another row its first token would be predicted from that row's last one.
            labels[line, start + 1 : end] = torch.tensor(row.labels[1:])
            # Up to the end of the line: padding belongs to the last row, which never looks ahead.
            positions[line, start:] = torch.arange(longest - start)
            start = end
    return ids, labels, positions


def check_packing(config: PretrainedConfig) -> None:
    """Raise EngineError `packing_refused` for a model with layers that no mask can keep apart."""
    text = config.get_text_config(decoder=True)
    kinds = set(getattr(text, "layer_types", None) or ())
    hybrid = any(word in kind for kind in kinds for word in RECURRENT)
    if hybrid or any(getattr(text, name, None) for name in STATEFUL):
        raise fault(
            "packing_refused",
            f"Rows cannot share a sequence on {text.model_type}",
            f"Its linear attention carries a state from row to row unless {KERNEL} resets it, "
            "and Qwill computes without that kernel",
            "Turn packing off",
        )


class PackedSupervised:
    """Cross entropy on what the assistant said, rows packed; see engine.workers.training.objective."""

    def __init__(self, single: Any) -> None:
        """`single`: the objective on single rows."""
        self._single = single

    def examples(self, rows: Sequence[Any], labeller: Labeller, length: int) -> Tally:
        tally: Tally = self._single.examples(rows, labeller, length)
        return replace(tally, examples=packed(tally.examples, length))

    def weight(self, batch: Sequence[Pack]) -> int:
        return sum(pack.labelled for pack in batch)

    def summed(self, student: Any, batch: Sequence[Pack]) -> tuple[Tensor, dict[str, float]]:
        check_packing(student.network.config)
        ids, labels, positions = (part.to(student.device) for part in laid_out(batch))
        return summed_loss(student.network, ids, labels, positions), {}
