"""Which rows are held out: what is asked is never on both sides, and a seed always draws the same rows."""

from __future__ import annotations

import pytest

from engine.data.check import prompt_hash
from engine.data.rows import AnyRow, Row, Said, TextRow
from engine.data.split import split, split_rows


def asked(line: int, prompt: str, answer: str) -> Row:
    return Row(line, (Said("user", prompt), Said("assistant", answer)))


def lines(rows: list[AnyRow]) -> list[int]:
    return [row.line for row in rows]


@pytest.mark.parametrize("seed", range(8))
def test_one_prompt_is_on_one_side(seed: int) -> None:
    rows: list[AnyRow] = [asked(line, f"Who is {line % 7}?", f"I am {line}") for line in range(40)]
    rows += [asked(line, f"WHO  is {line % 7}?", "me") for line in range(40, 47)]
    train, held = split_rows(rows, 0.2, seed)
    assert {prompt_hash(row) for row in train}.isdisjoint(prompt_hash(row) for row in held)
    assert sorted(lines(train) + lines(held)) == list(range(47))
    assert 0 < len(held) <= 0.3 * len(rows)
    assert split_rows(rows, 0.2, seed) == (train, held)


def test_rows_that_all_differ_are_split_as_ever() -> None:
    rows: list[AnyRow] = [asked(line, f"{line}?", "yes") for line in range(30)]
    assert split_rows(rows, 0.1, 3) == split(rows, 0.1, 3)
    assert split_rows(rows, 0.0, 3) == (rows, [])


def test_where_all_ask_the_same_only_equal_rows_stay_together() -> None:
    rows: list[AnyRow] = [asked(line, "A joke!", f"joke {line % 5}") for line in range(20)]
    train, held = split_rows(rows, 0.2, 1)
    said = [{row.messages[-1].content for row in side if isinstance(row, Row)} for side in (train, held)]
    assert said[0].isdisjoint(said[1])
    assert len(held) == 4


def test_where_all_rows_are_the_same_none_is_held_out() -> None:
    rows: list[AnyRow] = [TextRow(line, "again") for line in range(4)]
    assert split_rows(rows, 0.5, 0) == (rows, [])


def test_one_common_prompt_leaves_something_on_each_side() -> None:
    rows: list[AnyRow] = [asked(line, "common", str(line)) for line in range(9)] + [asked(9, "rare", "x")]
    train, held = split_rows(rows, 0.05, 0)
    assert (lines(train), lines(held)) == (list(range(9)), [9])
