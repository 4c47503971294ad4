"""A dataset's faults are named by line and key, and keep nothing else out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.check import check
from engine.data.load import rows_for
from engine.data.read import LINE_LIMIT, read_rows
from engine.data.rows import Row
from engine.data.spec_file import checked, dump_spec, load_spec
from engine.data.split import split
from engine.protocol.errors import EngineError
from engine.protocol.runs import TrainSpec


def chat(*turns: tuple[str, str]) -> str:
    return json.dumps({"messages": [{"role": role, "content": text} for role, text in turns]})


GOOD = chat(("user", "Hi"), ("assistant", "Ahoy"))


@pytest.mark.parametrize(
    ("line", "key", "what"),
    [
        ("{", "", "not JSON"),
        ("[1]", "", "not an object"),
        ('{"note": "x"}', "messages", "keys here: note"),
        ('{"messages": "x"}', "messages", "not a list"),
        ('{"messages": ["x"]}', "messages[0]", "not an object"),
        (chat(("human", "Hi"), ("assistant", "x")), "messages[0].role", "'human' is none of"),
        ('{"messages": [{"role": "user"}]}', "messages[0].content", "not a text"),
        (chat(("user", "Hi"), ("assistant", "  ")), "messages[1].content", "empty"),
        (chat(("user", "Hi")), "messages", "no assistant message"),
        (chat(("assistant", "Hi")), "messages", "no user message"),
        ("[" * 100_000, "", "not JSON"),
        ("x" * (LINE_LIMIT + 5), "", "longer than"),
    ],
)
def test_a_bad_row_is_named_and_the_others_stay(tmp_path: Path, line: str, key: str, what: str) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(f"{GOOD}\n{line}\n\n{chat(('user', 'Bye'), ('assistant', 'Fare well'))}\n")
    report = check(path)
    assert report.rows == 2
    [problem] = report.problems
    assert (problem.line, problem.key, problem.fatal) == (2, key, True)
    assert what in problem.what


def test_bytes_that_are_no_text_are_one_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_bytes(b"\xff\xfe\x00\n" + GOOD.encode() + b"\n")
    report = check(path)
    assert (report.rows, report.problem_count, report.problems[0].line) == (1, 1, 1)


def test_a_repeated_row_is_named_and_used(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(f"{GOOD}\n{GOOD}\n")
    report = check(path)
    assert (report.rows, report.problems[0].fatal) == (2, False)
    assert report.problems[0].what == "the same as line 1"


def test_what_follows_the_last_answer_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(chat(("user", "a"), ("assistant", "b"), ("user", "c")))
    [row] = read_rows(path)
    assert isinstance(row, Row)
    assert [m.content for m in row.messages] == ["a", "b"]


@pytest.mark.parametrize("rows", [0, 1])
def test_one_row_is_not_enough(tmp_path: Path, rows: int) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(f"{GOOD}\n" * rows)
    with pytest.raises(EngineError) as caught:
        rows_for(TrainSpec("", ""), path)
    assert caught.value.info.code == "data_empty"
    assert "data check" in caught.value.info.remedy


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as caught:
        check(tmp_path / "none.jsonl")
    assert caught.value.info.code == "data_unreadable"


@given(st.integers(2, 200), st.floats(0.0, 0.5), st.integers(0, 5))
def test_no_row_is_both_learnt_and_tested(count: int, fraction: float, seed: int) -> None:
    train, held = split(range(count), fraction, seed)
    assert sorted([*train, *held]) == list(range(count))
    assert train
    assert split(range(count), fraction, seed) == (train, held)


def test_a_spec_survives_its_file(tmp_path: Path) -> None:
    spec = TrainSpec("demo", 'a "b" \\ \n.jsonl', name="Ünï", rank=8, rate=3e-4)
    path = tmp_path / "run.toml"
    path.write_bytes(dump_spec(spec))
    assert load_spec(path) == spec


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('model="a"\ndata="b"\nrank=0', "rank"),
        ('model="a"\ndata="b"\nrate=2', "rate"),
        ('model="a"\ndata="b"\nrnak=8', "rnak"),
        ('model="a"', "data"),
        ('model="a"\ndata="b"\nmethod="magic"', "method"),
        ("model= 1 2", "line 1"),
        ('model="a"\ndata="b"\nrank="x"', "rank"),
        ('model="a"\ndata="b"\nepochs=-1', "epochs"),
    ],
)
def test_a_wrong_spec_names_the_key(tmp_path: Path, text: str, word: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(EngineError) as caught:
        load_spec(path)
    assert word in caught.value.info.sentence()


def test_a_good_spec_passes() -> None:
    spec = TrainSpec("demo", "d", rank=1)
    assert checked(spec) is spec
