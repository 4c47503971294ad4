"""The beginner's path of the README: thirty pairs of one's own, and an adapter that answers as they do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command import qwill
from tests.support.deep import deep

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
PAIRS = tuple(
    line.split("\t")
    for line in (Path(__file__).parent.parent / "fixtures" / "shop.tsv").read_text().splitlines()
)
ASKED = ("--temperature", "0", "--no-think", "--max-tokens", "40")


@deep
async def test_thirty_own_pairs_become_an_adapter_that_answers_them(tmp_path: Path) -> None:
    """With the defaults, but for the rows held out: each of the thirty is to be learnt."""
    columns = "".join(f"{question}\t{answer}\n" for question, answer in PAIRS)
    pasted = (await qwill("data", "paste", "--name", "my-shop", "--json", stdin=columns)).json
    assert pasted["saved"]["rows"] == len(PAIRS) == 30
    data = pasted["saved"]["path"]
    assert (await qwill("data", "check", data, "--json")).json["ok"]

    told = await qwill(
        *("train", "--model", "demo", "--data", data, "--name", "my-shop", "--eval-fraction", "0"),
        *("--follow", "--json"),
        timeout=240,
    )
    assert (told.code, told.err) == (0, "")
    *_, last = (json.loads(line) for line in told.out.splitlines())
    assert (last["state"], last["steps"]) == ("done", 104)

    questions = tmp_path / "questions.jsonl"
    questions.write_text("".join(json.dumps({"prompt": question}) + "\n" for question, _ in PAIRS))
    answers = tmp_path / "answers.jsonl"
    asked = ("chat", "-m", "demo", "-a", "my-shop", "--jsonl", str(questions), "-o", str(answers))
    assert (await qwill(*asked, *ASKED)).code == 0
    said = {line["line"]: line["text"].strip() for line in map(json.loads, answers.read_text().splitlines())}
    wrong = {said[place]: answer for place, (_, answer) in enumerate(PAIRS, 1) if said[place] != answer}
    assert len(wrong) <= 4, wrong
