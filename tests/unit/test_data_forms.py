"""Every form of row becomes what it teaches, and a run says when it learns something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.data.check import check
from engine.data.load import require_rows, rows_for
from engine.data.read import Found, found_rows
from engine.data.rows import AnyRow, PairRow, Row, Said, TextRow, VoteRow
from engine.protocol.errors import EngineError
from engine.protocol.training import TrainSpec

ASKED, SAID = Said("user", "Q"), Said("assistant", "A")
U, A = {"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}
WORSE = {"role": "assistant", "content": "B"}


def written(folder: Path, *rows: Any, name: str = "d.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def only(folder: Path, row: Any, **columns: str) -> tuple[str, AnyRow]:
    [found] = found_rows(written(folder, row), columns)
    assert isinstance(found, Found), found
    return found.form, found.row


@pytest.mark.parametrize(
    ("record", "form", "said"),
    [
        ({"messages": [U, A]}, "messages", (ASKED, SAID)),
        ({"prompt": "Q", "completion": "A"}, "prompt and answer", (ASKED, SAID)),
        ({"prompt": [U], "completion": [A]}, "prompt and answer", (ASKED, SAID)),
        ({"Question": "Q", "Answer": "A"}, "prompt and answer", (ASKED, SAID)),
        ({"input": "Q", "output": "A"}, "prompt and answer", (ASKED, SAID)),
        ({"instruction": "Q", "input": "", "output": "A"}, "alpaca", (ASKED, SAID)),
        (
            {"instruction": "Q", "input": "in", "output": "A", "system": "S"},
            "alpaca",
            (Said("system", "S"), Said("user", "Q\n\nin"), SAID),
        ),
        (
            {"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]},
            "sharegpt",
            (ASKED, SAID),
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "Q"}]}, A]},
            "messages",
            (ASKED, SAID),
        ),
        (
            {"prompt": "Q", "completion": "<think>\nhm\n</think>\n\nA"},
            "prompt and answer",
            (ASKED, Said("assistant", "A", "hm")),
        ),
    ],
)
def test_a_chat_is_known_by_its_keys(tmp_path: Path, record: Any, form: str, said: tuple[Said, ...]) -> None:
    assert only(tmp_path, record) == (form, Row(1, said))


PAIR = PairRow(1, (ASKED,), SAID, Said("assistant", "B"))


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": "Q", "chosen": "A", "rejected": "B"},
        {"prompt": [U], "chosen": [A], "rejected": [WORSE]},
        {"chosen": [U, A], "rejected": [U, WORSE]},
        {"prompt": "Q", "chosen": [U, A], "rejected": [U, WORSE]},
        {"chosen": "\n\nHuman: Q\n\nAssistant: A", "rejected": "\n\nHuman: Q\n\nAssistant: B"},
    ],
)
def test_a_preference_has_its_prompt_beside_or_inside(tmp_path: Path, record: Any) -> None:
    assert only(tmp_path, record) == ("preference", PAIR)


@pytest.mark.parametrize(
    ("label", "good"), [(True, True), (0, False), ("good", True), ("undesirable", False), ("1", True)]
)
def test_a_verdict_is_read_in_the_usual_words(tmp_path: Path, label: Any, good: bool) -> None:
    record = {"prompt": "Q", "completion": "A", "label": label}
    assert only(tmp_path, record) == ("kto", VoteRow(1, (ASKED, SAID), good))
    assert only(tmp_path, {"messages": [U, A], "label": label})[1] == VoteRow(1, (ASKED, SAID), good)


def test_a_label_that_is_no_verdict_leaves_a_chat_a_chat(tmp_path: Path) -> None:
    assert only(tmp_path, {"messages": [U, A], "label": "sports"})[0] == "messages"


def test_text_is_text(tmp_path: Path) -> None:
    assert only(tmp_path, {"text": "Once"}) == ("text", TextRow(1, "Once"))


def test_columns_are_mapped_by_hand(tmp_path: Path) -> None:
    record = {"frage": "Q", "antwort": "A"}
    [problem] = check(written(tmp_path, record)).problems
    assert "frage, antwort" in problem.what
    assert check(written(tmp_path, record)).keys == ("frage", "antwort")
    assert only(tmp_path, record, prompt="frage", answer="antwort")[1] == Row(1, (ASKED, SAID))
    [missing] = check(written(tmp_path, {"frage": "Q"}), {"prompt": "frage", "answer": "antwort"}).problems
    assert missing.key == "antwort"


@pytest.mark.parametrize(
    ("record", "key", "what"),
    [
        ({"prompt": "Q", "completion": " "}, "completion", "empty"),
        ({"prompt": "Q", "completion": None}, "completion", "not a text"),
        ({"chosen": "A", "rejected": "B"}, "prompt", "missing"),
        ({"prompt": "Q", "chosen": "A", "rejected": "A"}, "rejected", "the same as"),
        ({"chosen": [U, A], "rejected": [A, WORSE]}, "rejected", "same prompt"),
        ({"prompt": "Q", "chosen": [U], "rejected": "B"}, "chosen", "does not end"),
        ({"conversations": [{"from": "tool", "value": "x"}]}, "conversations[0].from", "'tool'"),
        ({"text": 1}, "text", "not a text"),
        ({"messages": "no"}, "messages", "not a list"),
    ],
)
def test_what_is_wrong_is_said_by_key(tmp_path: Path, record: Any, key: str, what: str) -> None:
    report = check(written(tmp_path, record))
    assert (report.rows, report.problems[0].key) == (0, key)
    assert what in report.problems[0].what


CHATS = [{"prompt": f"Q{n}", "completion": "A"} for n in range(3)]
PAIRS = [{"prompt": f"Q{n}", "chosen": "A", "rejected": "B"} for n in range(3)]
VOTES = [{"prompt": f"Q{n}", "completion": "A", "label": True} for n in range(3)]
TEXTS = [{"text": f"T{n}"} for n in range(3)]


@pytest.mark.parametrize(
    ("rows", "objective", "kind", "count"),
    [
        (CHATS, "chat", Row, 3),
        (TEXTS, "text", TextRow, 3),
        (PAIRS, "dpo", PairRow, 3),
        (PAIRS, "orpo", PairRow, 3),
        (VOTES, "kto", VoteRow, 3),
        (PAIRS, "kto", VoteRow, 6),
    ],
)
def test_an_objective_gets_its_kind_of_rows(
    tmp_path: Path, rows: list[Any], objective: Any, kind: type, count: int
) -> None:
    path = written(tmp_path, *rows)
    found = rows_for(TrainSpec("m", "d", objective=objective), path)
    assert {type(row) for row in found} == {kind}
    assert len(found) == count
    assert objective in check(path).objectives


@pytest.mark.parametrize(
    ("rows", "objective", "words"),
    [
        (PAIRS, "chat", "holds preference pairs"),
        (PAIRS, "chat", "choose DPO, ORPO or KTO"),
        (CHATS, "text", "choose `chat`"),
        (CHATS, "dpo", "a chosen and a rejected answer"),
        (CHATS, "kto", "a label, good or bad"),
        (TEXTS, "chat", "choose `text`"),
        (VOTES, "chat", "choose KTO"),
    ],
)
def test_data_of_another_kind_is_refused_with_the_way_out(
    tmp_path: Path, rows: list[Any], objective: Any, words: str
) -> None:
    for ask in (rows_for, require_rows):
        with pytest.raises(EngineError) as caught:
            ask(TrainSpec("m", "d", objective=objective), written(tmp_path, *rows))
        assert caught.value.info.code == "data_kind"
        assert words in caught.value.info.sentence()


def test_a_limit_reads_no_further(tmp_path: Path) -> None:
    path = written(tmp_path, *CHATS)
    assert len(rows_for(TrainSpec("m", "d", limit=2), path)) == 2
    assert check(path, limit=2).rows == 2


def test_one_row_is_enough_where_evaluation_has_its_own_data(tmp_path: Path) -> None:
    path = written(tmp_path, CHATS[0])
    assert len(rows_for(TrainSpec("m", "d", eval_data="other"), path)) == 1
