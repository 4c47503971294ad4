"""Files of every kind, whole and damaged: what is intact loads, what is not is counted by its line."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest

from engine.data.check import check
from engine.data.read import read_rows
from engine.data.rows import Row, TextRow
from engine.protocol.errors import EngineError
from engine.protocol.runs import Problem

ROW = '{"prompt": "Q", "completion": "A"}'


def asked(path: Path, **columns: str) -> list[str]:
    rows = read_rows(path, columns)
    return [row.messages[0].content for row in rows if isinstance(row, Row)]


def texts(path: Path, **columns: str) -> list[str]:
    return [row.text for row in read_rows(path, columns) if isinstance(row, TextRow)]


@pytest.mark.parametrize(
    "content",
    [
        '[{"prompt": "1", "completion": "A"},\n {"prompt": "2", "completion": "A"}]',
        '{"prompt": "1", "completion": "A"}\n{"prompt": "2", "completion": "A"}\n',
        '{"data": [{"prompt": "1", "completion": "A"}, {"prompt": "2", "completion": "A"}]}',
    ],
)
def test_json_is_a_list_or_lines_or_an_object_of_a_list(tmp_path: Path, content: str) -> None:
    path = tmp_path / "d.json"
    path.write_text(content)
    assert asked(path) == ["1", "2"]


def test_a_long_list_is_read_piece_by_piece(tmp_path: Path) -> None:
    path = tmp_path / "d.json"
    rows = [{"prompt": f"{n} ä", "completion": "x" * 9997} for n in range(400)]
    path.write_text(json.dumps(rows, indent=1, ensure_ascii=False))
    tracemalloc.start()
    report = check(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (report.rows, report.bad) == (400, 0)
    assert peak < path.stat().st_size * 4 < 20_000_000
    assert [item.line for item in read_rows(path)][:3] == [2, 6, 10]


@pytest.mark.parametrize("rest", ['{"prompt": "2", "compl', "nonsense]", ""])
def test_a_list_that_is_cut_keeps_the_rows_before(tmp_path: Path, rest: str) -> None:
    path = tmp_path / "d.json"
    path.write_text(f"[{ROW},\n{rest}")
    report = check(path)
    assert (report.rows, report.bad, report.problems[0].line) == (1, 1, 2)


@pytest.mark.parametrize(("name", "delimiter"), [("d.csv", ","), ("d.csv", ";"), ("d.tsv", "\t")])
def test_a_table_has_a_header_and_may_have_lines_in_cells(tmp_path: Path, name: str, delimiter: str) -> None:
    path = tmp_path / name
    lines = ["\ufeffquestion,answer", '"one\nand more",A', "two", "three,A,B", "four,A"]
    path.write_text("\n".join(lines).replace(",", delimiter), encoding="utf-8")
    assert asked(path) == ["one\nand more", "four"]
    assert [problem.line for problem in check(path).problems] == [4, 5]


def test_a_cell_may_hold_messages(tmp_path: Path) -> None:
    path = tmp_path / "d.tsv"
    talk = '[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]'
    path.write_text("messages\n" + '"' + talk.replace('"', '""') + '"\n')
    assert asked(path) == ["hi"]


def test_parquet_is_read_a_batch_at_a_time(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    talk = [[{"role": "user", "content": str(n)}, {"role": "assistant", "content": "A"}] for n in range(1200)]
    path = tmp_path / "d.parquet"
    parquet.write_table(pyarrow.table({"messages": talk}), path)
    report = check(path)
    assert (report.rows, report.file, report.form) == (1200, "parquet", "messages")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(EngineError) as caught:
        check(path)
    assert caught.value.info.code == "data_unreadable"


def test_without_its_package_a_format_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "d.parquet").write_bytes(b"PAR1")
    with pytest.raises(EngineError) as caught:
        check(tmp_path / "d.parquet")
    assert caught.value.info.code == "extra_missing"
    assert 'pip install "qwill[datasets]"' in caught.value.info.remedy


def test_a_text_is_paragraphs_or_whole(tmp_path: Path) -> None:
    path = tmp_path / "d.txt"
    path.write_text("One\ntwo\n\n\nThree\n")
    assert texts(path) == ["One\ntwo", "Three"]
    assert texts(path, text="whole") == ["One\ntwo\n\n\nThree"]
    path.write_text("x" * (3 << 20))
    assert sum(map(len, texts(path))) == 3 << 20


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (ROW[:20].encode(), "not JSON"),
        (b'{"prompt": "\xff\xfe", "completion": "A"}', "not UTF-8 at byte"),
        (b'{"prompt": "Q"' + b"\0" * 50, "NUL"),
        (b'{"prompt": "' + b"x" * (10 << 20) + b'", "completion": "A"}', "longer than"),
        (b'{"prompt": "\\ud800", "completion": "A"}', "not JSON"),
    ],
)
def test_a_damaged_line_is_counted_and_the_others_load(tmp_path: Path, damage: bytes, word: str) -> None:
    path = tmp_path / "d.jsonl"
    path.write_bytes(ROW.encode() + b"\n" + damage + b"\n" + ROW.replace("Q", "Z").encode() + b"\n")
    report = check(path)
    assert (report.rows, report.bad) == (2, 1)
    [problem] = [each for each in report.problems if each.fatal]
    assert problem.line == 2
    assert word in problem.what


@pytest.mark.parametrize("name", ["d.csv", "d.txt", "d.json"])
def test_bytes_that_are_no_text_keep_nothing_else_out(tmp_path: Path, name: str) -> None:
    content = {
        "d.csv": b"prompt,answer\nQ,A\n\xff,A\nZ,A\n",
        "d.txt": b"Q\n\n\xff\n\nZ\n",
        "d.json": b'[{"prompt": "Q", "completion": "A"},\n{"prompt": "\xff", "completion": "A"},\n'
        b'{"prompt": "Z", "completion": "A"}]',
    }[name]
    (tmp_path / name).write_bytes(content)
    found = list(read_rows(tmp_path / name))
    assert [isinstance(item, Problem) for item in found] == [False, True, False]
    assert "UTF-8" in found[1].what  # type: ignore[union-attr]
