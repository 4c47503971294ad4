"""Continued pretraining: every token of plain text is learnt, nothing is dropped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.data.rows import TextRow
from engine.protocol.errors import fault
from engine.workers.training.labels import Example, Labeller, Tally
from engine.workers.training.supervised import Supervised


class PlainText(Supervised):
    """See engine.workers.training.objective.Objective."""

    def examples(self, rows: Sequence[TextRow], labeller: Labeller, length: int) -> Tally:  # type: ignore[override]
        """Documents one after another, the end token behind each, cut into blocks of `length`."""
        stream = [token for row in rows for token in labeller.text(row.text).ids]
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
