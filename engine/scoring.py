"""From single rows to one figure with its standard error. Pure arithmetic."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence

from engine.score_works import Scored


def share(right: Sequence[bool]) -> tuple[float | None, float | None]:
    """(share of right rows, its standard error): both None for no row, the error also for a single one."""
    if not right:
        return None, None
    mean = sum(right) / len(right)
    return mean, math.sqrt(mean * (1 - mean) / (len(right) - 1)) if len(right) > 1 else None


def perplexity(rows: Sequence[Scored]) -> tuple[float | None, float | None]:
    """(perplexity over all tokens, its standard error): rows are drawn, not tokens, by the delta method.

    None as in `share`.
    """
    tokens = sum(row.tokens for row in rows)
    if not tokens:
        return None, None
    mean = sum(row.nll for row in rows) / tokens
    value = math.exp(min(mean, 700.0))
    if len(rows) < 2:
        return value, None
    spread = sum((row.nll - mean * row.tokens) ** 2 for row in rows)
    return value, value * math.sqrt(spread * len(rows) / (len(rows) - 1)) / tokens


def likeliest(answers: Sequence[Scored]) -> int:
    """The place of the answer with the highest log-probability a token; the first of equal ones."""
    costs = [answer.nll / max(1, answer.tokens) for answer in answers]
    return costs.index(min(costs))


def same(answer: str, wanted: str) -> bool:
    """Whether two answers are the same but for case, spaces, and punctuation at the end."""
    return _plain(answer) == _plain(wanted)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip(".!?。 ")
