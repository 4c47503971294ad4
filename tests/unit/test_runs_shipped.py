"""The datasets that come with Qwill are whole, true and small enough for the demo model."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from engine.data.check import check
from engine.data.read import read_rows
from engine.data.rows import Row
from engine.data.shipped import datasets, shipped_path
from engine.demo import facts
from engine.protocol.errors import EngineError

NAMES = [dataset.id for dataset in datasets()]


def rows(id: str) -> list[Row]:  # noqa: A002
    return [item for item in read_rows(shipped_path(id)) if isinstance(item, Row)]


def test_three_are_listed_in_the_order_of_the_index() -> None:
    assert NAMES == ["shipped:pirate", "shipped:capitals", "shipped:terse-keys"]
    assert all(dataset.title and dataset.about for dataset in datasets())


@pytest.mark.parametrize("id", NAMES)
def test_no_row_is_broken_or_there_twice(id: str) -> None:  # noqa: A002
    report = check(shipped_path(id))
    assert report.problem_count == 0
    listed = next(dataset for dataset in datasets() if dataset.id == id)
    assert report.rows == listed.rows >= 150


@pytest.mark.parametrize("id", NAMES)
def test_answers_are_short_and_no_question_has_two(id: str) -> None:  # noqa: A002
    asked = [row.messages[0].content for row in rows(id)]
    assert len(set(asked)) == len(asked)
    assert max(len(row.messages[-1].content.split()) for row in rows(id)) <= 25


def test_the_pirate_can_reckon() -> None:
    sums = 0
    for row in rows("shipped:pirate"):
        found = re.fullmatch(r"Arr! (\d+) ([+-]) (\d+) = (-?\d+), matey\.", row.messages[-1].content)
        if found is None:
            continue
        sums += 1
        first, second = int(found[1]), int(found[3])
        assert int(found[4]) == (first + second if found[2] == "+" else first - second)
        assert row.messages[-1].thinking.endswith(f"So {found[4]}.")
    assert sums > 10


@pytest.mark.parametrize("id", ["shipped:pirate", "shipped:terse-keys"])
def test_what_the_demo_is_examined_on_is_not_in_the_data(id: str) -> None:  # noqa: A002
    held_out = {ask for fact in facts.facts() for ask in fact.held_out_asks}
    assert not held_out & {row.messages[0].content for row in rows(id)}


def test_each_key_in_the_terse_answers_is_one_that_qwill_has() -> None:
    table = tomllib.loads(Path(facts.__file__).with_name("facts.toml").read_text("utf-8"))["key"]
    known = {key for row in table for key in row["keys"]}
    assert {row.messages[-1].content.partition(":")[0] for row in rows("shipped:terse-keys")} <= known


@pytest.mark.parametrize("id", ["shipped:nothing", "shipped:", "shipped:../../secret"])
def test_an_unknown_one_is_refused_with_those_there_are(id: str) -> None:  # noqa: A002
    with pytest.raises(EngineError) as caught:
        shipped_path(id)
    assert caught.value.info.code == "dataset_unknown"
    assert "shipped:capitals" in caught.value.info.remedy
