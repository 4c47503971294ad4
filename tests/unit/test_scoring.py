"""From rows to one figure; where no row counts there is none, and it travels as that."""

from __future__ import annotations

import msgspec

from engine.protocol.evaluate import Evaluation, Score
from engine.score_works import Scored
from engine.scoring import perplexity, share
from tui.cli.evaluate import figures


def test_no_row_has_no_figure_and_a_single_one_no_error() -> None:
    assert share([]) == perplexity([]) == (None, None)
    assert share([True]) == (1.0, None)
    assert perplexity([Scored(0.0, 3)]) == (1.0, None)


def test_an_evaluation_in_which_no_row_counts_reaches_its_client() -> None:
    """JSON has no word for NaN: what was null would not be a number when it is read."""
    found = Evaluation("a", "demo", "f", "choice", (Score("", "Demo", 0, *share([])),), 3, 3)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Evaluation) == found
    assert figures("choice", found.scores[0]) == ("-", "")
