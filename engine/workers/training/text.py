"""Continued pretraining: every token of plain text is learnt, nothing is dropped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from engine.data.rows import TextRow
from engine.protocol.errors import fault
from engine.workers.training.labels import Example, Labeller, Tally
from engine.workers.training.supervised import Supervised

END_OF_TEXT = "<|endoftext|>"
"""What Qwen's own pretraining puts between documents; its chat models end turns with another token."""


class PlainText(Supervised):
    """See engine.workers.training.objective.Objective."""

    def examples(self, rows: Sequence[TextRow], labeller: Labeller, length: int) -> Tally:  # type: ignore[override]
        """Documents one after another, the end token behind each, cut into blocks of `length`."""
        tokenizer = labeller.tokenizer
        end = end_of_text(tokenizer)
        stream: list[int] = []
        for row in rows:
            stream += [*tokenizer(row.text, add_special_tokens=False)["input_ids"], end]
        blocks = [Example(block, list(block)) for block in cut(stream, length)]
        if not blocks:
            raise fault("no_labels", "The text is empty, so there is nothing to learn")
        return Tally(blocks)


def cut(stream: Sequence[int], length: int) -> Iterator[list[int]]:
    """Blocks of `length` tokens; each begins with the last token of the one before it.

    A block's first token is never predicted, so without that overlap one token a block would be lost.
    """
    for start in range(0, len(stream) - 1, length - 1):
        yield list(stream[start : start + length])


def end_of_text(tokenizer: Any) -> int:
    """The id that stands between documents."""
    known = tokenizer.get_vocab().get(END_OF_TEXT)
    end = tokenizer.eos_token_id if known is None else known
    if end is None:
        raise fault("no_end_token", "The tokenizer has no end token to put between two texts")
    return int(end)
