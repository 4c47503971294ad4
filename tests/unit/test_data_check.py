"""What a check finds beside broken rows: repeats, leaks, keys, lengths, the balance of verdicts."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.check import check
from engine.data.secrets import secret_in
from engine.data.spread import BINS, spread


def written(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def pair(question: str, answer: str = "A") -> dict[str, str]:
    return {"prompt": question, "completion": answer}


def test_repeats_and_empty_answers_are_counted(tmp_path: Path) -> None:
    report = check(written(tmp_path / "d.jsonl", pair("a"), pair("a"), pair("b"), pair("c", " ")))
    assert (report.rows, report.repeated, report.bad, report.empty) == (3, 1, 1, 1)


def test_prompts_of_the_evaluation_data_are_named(tmp_path: Path) -> None:
    held = written(tmp_path / "e.jsonl", pair("What  is it?", "other"), pair("z"))
    report = check(written(tmp_path / "d.jsonl", pair("what is it?"), pair("new")), held=held)
    assert (report.leaks, report.held) == (1, 2)
    assert report.problems[0].line == 1


@pytest.mark.parametrize(
    "secret",
    [
        "hf_" + "a" * 34,
        "sk-" + "proj-" + "a1" * 12,
        "AKIA" + "ABCDEFGHIJKLMNOP",
        "ghp_" + "a" * 36,
        "-----BEGIN RSA " + "PRIVATE KEY-----",
    ],
)
def test_a_key_is_found_and_never_repeated(tmp_path: Path, secret: str) -> None:
    report = check(written(tmp_path / "d.jsonl", pair("a", f"It is {secret}."), pair("b")))
    assert (report.secrets, report.rows) == (1, 2)
    [problem] = report.problems
    assert (problem.line, problem.fatal) == (1, False)
    assert secret not in problem.what


@pytest.mark.parametrize("text", ["hf_short", "task-force-of-the-long-named-kind", "AKIA", "sk-1", "a - b"])
def test_ordinary_words_are_no_keys(text: str) -> None:
    assert secret_in(text) == ""


def test_verdicts_are_balanced_or_not(tmp_path: Path) -> None:
    rows = [pair(f"q{n}") | {"label": n > 2} for n in range(10)]
    report = check(written(tmp_path / "d.jsonl", *rows))
    assert (report.kind, report.rows, report.good) == ("votes", 10, 7)


def test_rows_of_another_kind_are_named_where_the_objective_is_known(tmp_path: Path) -> None:
    path = written(tmp_path / "d.jsonl", pair("a"), {"text": "b"})
    assert check(path).bad == 0
    report = check(path, objective="chat")
    assert (report.rows, report.bad, report.problems[0].line) == (1, 1, 2)


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=200))
def test_every_number_stands_in_one_bin(numbers: list[int]) -> None:
    found = spread(numbers)
    assert found is not None
    assert sum(found.counts) == len(numbers)
    assert 1 <= len(found.counts) <= BINS + 1
    assert found.edges[0] <= min(numbers) <= max(numbers) < found.edges[-1]
    assert (found.quantiles[0], found.quantiles[-1]) == (min(numbers), max(numbers))


def test_many_rows_are_checked_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    with open(path, "w") as file:
        for number in range(400):
            file.write(json.dumps(pair(f"{number} {'q' * 10_000}", "a" * 10_000)) + "\n")
    tracemalloc.start()
    report = check(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert report.rows == 400
    assert peak < path.stat().st_size / 8  # of each row, only a hash and a length stay
