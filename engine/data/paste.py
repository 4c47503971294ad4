"""Questions and answers found in a pasted text: two columns, `Q: A:`, JSONL, or blank lines between."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from engine.data.lines import Record, record_of
from engine.data.rows import Row
from engine.data.said import Bad
from engine.data.shapes import ANSWERS, PROMPTS, row_of
from engine.protocol.data import PastedRows, QAPair

SHOWN = 50
"""Problems that are named at most."""
_ASKS = re.compile(r"\s*(?:q|question|prompt|user|human|frage|f)\s*\d*\s*[:.)]\s*", re.IGNORECASE)
_SAYS = re.compile(r"\s*(?:a|answer|reply|assistant|ai|bot|antwort)\s*\d*\s*[:.)]\s*", re.IGNORECASE)


def rows_of(text: str) -> PastedRows:
    """The pairs in a text, the form that was recognised, and what could not be used, by its line."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "").lstrip("\ufeff")
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        return PastedRows((), problems=("There is no text.",))
    if all(line.lstrip().startswith("{") for line in lines):
        return _jsonl(text)
    if 2 * sum("\t" in line for line in lines) >= len(lines):
        return _columns(text, "\t", "tab")
    if _ASKS.match(lines[0]) and any(_SAYS.match(line) for line in lines):
        return _marked(text)
    blocks = [block.strip("\n") for block in re.split(r"\n\s*\n", text.strip("\n"))]
    if len(blocks) > 1:
        return _blocks(blocks)
    for delimiter in ";,":
        if _two_columns(text, delimiter):
            return _columns(text, delimiter, "csv")
    if len(lines) == 2:
        return PastedRows((QAPair(lines[0].strip(), lines[1].strip()),), "blank lines")
    problem = "No questions and answers were found: put a tab, or `Q:` and `A:`, or blank lines between."
    return PastedRows((), problems=(problem,))


def _columns(text: str, delimiter: str, form: str) -> PastedRows:
    """Cells as a spreadsheet copies them; a quoted one may hold several lines."""
    pairs: list[QAPair] = []
    problems: list[str] = []
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=delimiter != "\t")
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            problems.append(f"Line {line} is no row of a table: {error}.")
            continue
        if cells is None:
            break
        cells = [cell.strip() for cell in cells]
        if not any(cells) or (not pairs and _is_header(cells)):
            continue
        if len(cells) != 2 or not all(cells):
            problems.append(f"Line {line} has {_cells(cells)} where a question and an answer should be.")
        else:
            pairs.append(QAPair(*cells))
    return PastedRows(tuple(pairs), form, tuple(problems[:SHOWN]))


def _cells(cells: Sequence[str]) -> str:
    full = sum(map(bool, cells))
    return "one text" if full == 1 else f"{full} texts"


def _is_header(cells: Sequence[str]) -> bool:
    return len(cells) == 2 and cells[0].lower() in PROMPTS and cells[1].lower() in ANSWERS


def _two_columns(text: str, delimiter: str) -> bool:
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row]
    except csv.Error:
        return False
    return bool(rows) and all(len(row) == 2 for row in rows)


def _marked(text: str) -> PastedRows:
    pairs: list[QAPair] = []
    problems: list[str] = []
    question: list[str] = []
    answer: list[str] | None = None
    begun = 1

    def close() -> None:
        asked, said = "\n".join(question).strip(), "\n".join(answer or ()).strip()
        if asked and said:
            pairs.append(QAPair(asked, said))
        elif asked or said:
            problems.append(f"The pair at line {begun} has no {'answer' if asked else 'question'}.")

    for number, line in enumerate(text.split("\n"), start=1):
        if found := _ASKS.match(line):
            close()
            question, answer, begun = [line[found.end() :]], None, number
        elif answer is None and (found := _SAYS.match(line)):
            answer = [line[found.end() :]]
        else:
            (question if answer is None else answer).append(line)
    close()
    return PastedRows(tuple(pairs), "q and a", tuple(problems[:SHOWN]))


def _blocks(blocks: Sequence[str]) -> PastedRows:
    """Either every block is a question's line and its answer below, or blocks take turns."""
    if all("\n" in block for block in blocks):
        split = [block.split("\n", 1) for block in blocks]
        return PastedRows(tuple(QAPair(a.strip(), b.strip()) for a, b in split), "blank lines")
    pairs = tuple(QAPair(*pair) for pair in zip(blocks[::2], blocks[1::2], strict=False))
    odd = len(blocks) % 2
    problems = (f"The last question has no answer: {blocks[-1][:60]}",) if odd else ()
    return PastedRows(pairs, "blank lines", problems)


def _jsonl(text: str) -> PastedRows:
    pairs: list[QAPair] = []
    problems: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        pair = pair_in(number, line.encode())
        if isinstance(pair, QAPair):
            pairs.append(pair)
        else:
            problems.append(f"Line {number}: {pair}.")
    return PastedRows(tuple(pairs), "jsonl", tuple(problems[:SHOWN]))


def pair_in(number: int, line: bytes) -> QAPair | str:
    """The pair of one line of JSON, or why there is none."""
    found = record_of(number, line)
    if not isinstance(found, Record):
        return found.what
    try:
        _, row = row_of(number, found.value, {})
    except Bad as bad:
        return f"{bad.key}: {bad.what}" if bad.key else bad.what
    plain = [m for m in row.messages if m.role != "system"] if isinstance(row, Row) else []
    if [m.role for m in plain] != ["user", "assistant"] or plain[1].thinking:
        return "more than a plain question and its answer"
    return QAPair(plain[0].content, plain[1].content)
