"""A sweep's line becomes the runs that it stands for, or says what is wrong with it."""

from __future__ import annotations

import pytest

from engine.data.sweep import MOST, label, members, variations
from engine.protocol.errors import EngineError
from engine.protocol.training import TrainSpec


def test_every_combination_comes_once_with_the_last_key_fastest() -> None:
    found = variations("r=8,16 lr=1e-4..4e-4/3")
    assert [(each["rank"], each["rate"]) for each in found] == [
        (8, 1e-4), (8, 2e-4), (8, 4e-4), (16, 1e-4), (16, 2e-4), (16, 4e-4),
    ]  # fmt: skip


def test_seeds_are_counted_and_methods_go_by_the_names_people_use() -> None:
    assert [each["seed"] for each in variations("seeds=3")] == [0, 1, 2]
    assert variations("method=lora,qlora") == [{"method": "lora"}, {"method": "lora", "quant": "nf4"}]


def test_members_share_all_but_what_differs_and_are_named_by_it() -> None:
    base = TrainSpec("m", "d", name="law", method="dora")
    found = members(base, "r=4,8", "sweep-1")
    assert [(each.name, each.rank, each.method, each.group) for each in found] == [
        ("law-r4", 4, "dora", "sweep-1"),
        ("law-r8", 8, "dora", "sweep-1"),
    ]


def test_whole_numbers_stay_whole_in_a_range() -> None:
    assert [each["rank"] for each in variations("r=4..64/5")] == [4, 8, 16, 32, 64]
    assert [each["steps"] for each in variations("steps=0..100/3")] == [0, 50, 100]


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("", "Nothing"),
        ("r", "no key"),
        ("model=a,b", "no key"),
        ("r=8 rank=4", "twice"),
        ("r=x", "cannot be"),
        ("lr=1..2", "no range"),
        ("lr=1..2/1", "no range"),
        ("method=best", "cannot be"),
        ("seeds=0", "no count"),
        (f"seeds={MOST} r=1,2", "runs"),
        ("method=lora..dora/2", "no range"),
    ],
)
def test_a_line_that_makes_no_sense_is_refused_in_words(line: str, word: str) -> None:
    with pytest.raises(EngineError) as caught:
        variations(line)
    assert word in caught.value.info.title
    assert caught.value.info.remedy


def test_a_value_out_of_bounds_names_its_key() -> None:
    with pytest.raises(EngineError, match="rank"):
        members(TrainSpec("m", "d"), "r=0,8", "")


def test_a_label_reads_like_the_line() -> None:
    assert label({"rank": 8, "rate": 2e-4, "method": "dora"}) == "r8-lr0.0002-dora"
    assert label({"packing": True, "seed": 2}) == "packing-s2"
