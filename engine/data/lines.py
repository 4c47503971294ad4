"""The records of a dataset's file, one at a time whatever its kind: JSONL, JSON, CSV, TSV, Parquet, text."""

from __future__ import annotations

import csv
import importlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from engine.data.text_file import paragraphs
from engine.protocol.errors import EngineError, fault
from engine.protocol.runs import Problem

LINE_LIMIT = 1 << 20
"""Bytes of one row at most."""
WHOLE_LIMIT = 64 << 20
"""Bytes of a JSON file that is one object, which is read at once."""
LISTS = ("data", "rows", "train", "examples", "instances")
"""Keys under which a JSON object holds its rows."""
ENDINGS = {
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".txt": "txt",
    ".md": "txt",
}
_TOO_LONG = f"longer than {LINE_LIMIT >> 20} MiB"


class Record(msgspec.Struct, frozen=True):
    """One row as its file has it."""

    line: int
    """1-based; in Parquet, the row's number."""
    value: dict[str, Any]


Records = Iterator[Record | Problem]


def kind_of(path: Path) -> str:
    """`jsonl`, `json`, `csv`, `tsv`, `parquet` or `txt`, by the file's ending."""
    return ENDINGS.get(path.suffix.lower(), "jsonl")


def records(path: Path, *, whole: bool = False) -> Records:
    """Every row as a Record, or as the Problem that keeps it out; holds one at a time.

    `whole`: a text file is one row, else one row a paragraph. Raises EngineError `data_unreadable`, for
    Parquet also `extra_missing`.
    """
    readers: dict[str, Callable[[Path], Records]] = {
        "json": _json,
        "csv": _csv,
        "tsv": _csv,
        "parquet": _parquet,
        "txt": lambda each: _text(each, whole),
    }
    try:
        yield from readers.get(kind_of(path), _jsonl)(path)
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> EngineError:
    """The fault of a dataset that cannot be opened."""
    return fault(
        "data_unreadable",
        f"{path} cannot be read",
        error.strerror or str(error),
        "Check the path; the file should be JSONL, JSON, CSV, TSV, Parquet or text",
    )


# --- JSON, a row a line ---------------------------------------------------------------------


def _jsonl(path: Path) -> Records:
    with open(path, "rb") as file:
        for number, line in enumerate(_lines(file), start=1):
            if line is None:
                yield Problem(number, "", f"the line is {_TOO_LONG}")
            elif line.strip():
                yield record_of(number, line)


def _lines(file: BinaryIO) -> Iterator[bytes | None]:
    """Lines; None for one that is too long, of which no more than a piece is ever held."""
    while line := file.readline(LINE_LIMIT + 1):
        if len(line) <= LINE_LIMIT:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(LINE_LIMIT)
        yield None


def record_of(number: int, line: bytes) -> Record | Problem:
    if b"\0" in line:
        return Problem(number, "", f"has NUL bytes, from byte {line.index(0)} on: the file is damaged here")
    try:
        value = msgspec.json.decode(line.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Problem(number, "", f"not UTF-8 at byte {error.start}")
    except (msgspec.DecodeError, RecursionError) as error:
        return Problem(number, "", f"not JSON: {error}")
    return _record(number, value)


def _record(number: int, value: Any) -> Record | Problem:
    if not isinstance(value, dict):
        return Problem(number, "", "not an object with named values")
    return Record(number, value)


# --- JSON, one list -------------------------------------------------------------------------


def _json(path: Path) -> Records:
    with open(path, "rb") as file:
        head = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(b"["):
        yield from _array(path)
    elif _is_jsonl(path):
        yield from _jsonl(path)
    else:
        yield from _one_object(path)


def _is_jsonl(path: Path) -> bool:
    with open(path, "rb") as file:
        first = next((line for line in _lines(file) if line is None or line.strip()), b"")
    if first is None:
        return True
    found = record_of(1, first)
    return isinstance(found, Record) and _listed(found.value) is None


def _one_object(path: Path) -> Records:
    if path.stat().st_size > WHOLE_LIMIT:
        yield Problem(1, "", f"one JSON object of more than {WHOLE_LIMIT >> 20} MiB; use a list, or JSONL")
        return
    found = record_of(1, path.read_bytes())
    if isinstance(found, Problem):
        yield found
        return
    listed = _listed(found.value)
    if listed is None:
        yield found
    else:
        yield from (_record(number, value) for number, value in enumerate(listed, start=1))


def _listed(value: dict[str, Any]) -> list[Any] | None:
    """The rows that an object holds under one of LISTS."""
    return next((value[key] for key in LISTS if isinstance(value.get(key), list)), None)


def _array(path: Path) -> Records:
    """The elements of a list, read piece by piece."""
    decoder = json.JSONDecoder()
    with open(path, encoding="utf-8-sig", errors="surrogateescape") as file:
        text, line, more = file.read(LINE_LIMIT), 1, True
        place = text.index("[") + 1
        line += text.count("\n", 0, place)
        while True:
            start = _next_value(text, place)
            line += text.count("\n", place, start)
            place = start
            if text.startswith("]", place):
                return
            end = _end(decoder, text, place)
            if end is not None and (end < len(text) or not more):
                yield _element(line, text[place:end])
                line += text.count("\n", place, end)
                place = end
            elif more and len(text) - place <= 2 * LINE_LIMIT:
                piece = file.read(LINE_LIMIT)
                text, place, more = text[place:] + piece, 0, bool(piece)
            else:
                what = f"a row is {_TOO_LONG}" if more else "not JSON, or cut off"
                yield Problem(line, "", f"{what}; the rest of the list cannot be read")
                return


def _end(decoder: json.JSONDecoder, text: str, place: int) -> int | None:
    """Where the value that begins here ends; None where it does not end in this text."""
    try:
        return decoder.raw_decode(text, place)[1]
    except (ValueError, RecursionError):
        return None


def _element(line: int, text: str) -> Record | Problem:
    return record_of(line, text.encode("utf-8", "surrogateescape"))


def _next_value(text: str, place: int) -> int:
    while place < len(text) and text[place] in " \t\r\n,":
        place += 1
    return place


# --- tables ---------------------------------------------------------------------------------


def _csv(path: Path) -> Records:
    csv.field_size_limit(LINE_LIMIT)
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        head = file.readline(LINE_LIMIT)
        file.seek(0)
        reader = csv.reader(file, delimiter=_delimiter(path, head))
        try:
            names = [name.strip() for name in next(reader, [])]
        except csv.Error as error:
            yield Problem(1, "", f"no header: {error}")
            return
        yield from _cells(reader, names)


def _cells(reader: Any, names: list[str]) -> Records:
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield Problem(line, "", f"not a row of this table: {error}")
            continue
        if cells is None:
            return
        if any(cells):
            yield _table_row(line, names, cells)


def _table_row(line: int, names: list[str], cells: list[str]) -> Record | Problem:
    if len(cells) != len(names):
        return Problem(line, "", f"{len(cells)} columns, and the header has {len(names)}")
    if any("\0" in cell for cell in cells):
        return Problem(line, "", "has NUL bytes: the file is damaged here")
    if any("\ud800" <= character <= "\udfff" for cell in cells for character in cell):
        return Problem(line, "", "not UTF-8")
    return Record(line, {name: _cell(cell) for name, cell in zip(names, cells, strict=True)})


def _cell(cell: str) -> Any:
    """A list of messages may stand in a cell as JSON."""
    if cell.startswith("[{") and cell.endswith("}]"):
        try:
            return msgspec.json.decode(cell)
        except (msgspec.DecodeError, RecursionError):
            return cell
    return cell


def _delimiter(path: Path, head: str) -> str:
    if kind_of(path) == "tsv":
        return "\t"
    return max(",;\t", key=head.count)


def _parquet(path: Path) -> Records:
    tables = importlib.import_module("engine.workers.tables")  # pyarrow lives there
    yield from (_record(number, row) for number, row in enumerate(tables.parquet_rows(path), start=1))


# --- text -----------------------------------------------------------------------------------


def _text(path: Path, whole: bool) -> Records:
    for line, text in paragraphs(path, whole=whole):
        try:
            text.encode()
        except UnicodeEncodeError:
            yield Problem(line, "", "not UTF-8")
            continue
        yield Problem(line, "", "has NUL bytes") if "\0" in text else Record(line, {"text": text})
