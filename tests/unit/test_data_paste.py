"""Pasted text becomes questions and answers, and a dataset that is whole or not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.data import own
from engine.data.check import check
from engine.data.paste import rows_of
from engine.protocol.data import QAPair
from engine.protocol.errors import EngineError

TWO = (QAPair("one?", "yes"), QAPair("two?", "no"))


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("one?\tyes\ntwo?\tno\n", "tab"),
        ("question\tanswer\r\none?\tyes\r\ntwo?\tno", "tab"),
        ('"one?",yes\n"two?",no', "csv"),
        ("one?;yes\ntwo?;no", "csv"),
        ("Q: one?\nA: yes\n\nQ: two?\nA: no", "q and a"),
        ("Frage: one?\nAntwort: yes\nFrage: two?\nAntwort: no", "q and a"),
        ("one?\n\nyes\n\ntwo?\n\nno", "blank lines"),
        ("one?\nyes\n\n\ntwo?\nno\n", "blank lines"),
        ('{"prompt": "one?", "completion": "yes"}\n{"prompt": "two?", "completion": "no"}', "jsonl"),
    ],
)
def test_two_columns_are_found_in_many_forms(text: str, form: str) -> None:
    found = rows_of(text)
    assert (found.pairs, found.form, found.problems) == (TWO, form, ())


def test_a_cell_of_a_spreadsheet_may_hold_lines() -> None:
    assert rows_of('one?\t"yes\nindeed"\n').pairs == (QAPair("one?", "yes\nindeed"),)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "no text"),
        ("only this", "No questions"),
        ("a\tb\nc\n", "Line 2"),
        ("Q: one?\nA: yes\nQ: two?", "line 3"),
        ("one\n\ntwo\n\nthree", "no answer: three"),
    ],
)
def test_what_cannot_be_used_is_said_with_its_place(text: str, word: str) -> None:
    assert any(word in problem for problem in rows_of(text).problems)


def test_a_saved_dataset_is_read_back_and_trainable() -> None:
    saved = own.save("My faq!", TWO, system="Be brief")
    path = Path(saved.path)
    assert (path.name, saved.rows) == ("My-faq.jsonl", 2)
    assert own.read("My faq!").pairs == TWO
    assert json.loads(path.read_text().splitlines()[0])["messages"][0]["role"] == "system"
    assert check(path).rows == 2
    assert check(path).sha256.startswith(saved.version)


def test_what_is_replaced_stays_under_its_version() -> None:
    first = own.save("a", TWO)
    second = own.save("a", TWO[:1])
    assert own.read("a").pairs == TWO[:1]
    kept = Path(second.path).with_name(f"a.{first.version}.jsonl")
    assert check(kept).rows == 2
    own.save("a", TWO[:1])
    assert len(list(kept.parent.glob("a*"))) == 2


def test_pairs_are_added_behind_those_that_are_there() -> None:
    own.append("a", TWO[:1])
    assert own.append("a", TWO[1:]).rows == 2
    assert own.read("a").pairs == TWO


def test_rows_that_are_more_than_a_pair_are_counted() -> None:
    path = Path(own.save("a", TWO).path)
    path.write_text(path.read_text() + '{"text": "x"}\n')
    assert (own.read("a").pairs, own.read("a").other) == (TWO, 1)
    assert own.read("a", offset=1).pairs == TWO[1:]


@pytest.mark.parametrize(("name", "code"), [("", "data_name"), ("../..", "data_name"), ("a", "data_empty")])
def test_nothing_is_written_without_a_name_or_a_pair(name: str, code: str) -> None:
    with pytest.raises(EngineError) as caught:
        own.save(name, () if name == "a" else TWO)
    assert caught.value.info.code == code


def test_a_name_stays_inside_its_folder() -> None:
    assert Path(own.save("../../etc/passwd", TWO).path).parent == own.folder()
