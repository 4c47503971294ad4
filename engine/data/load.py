"""The rows that a run learns from, of the kind that its objective wants."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from msgspec.structs import replace

from engine.data.place import data_path
from engine.data.read import read_rows
from engine.data.rows import AnyRow, PairRow, Row, TextRow, VoteRow
from engine.protocol.errors import EngineError, fault
from engine.protocol.runs import Problem
from engine.protocol.training import Objective, TrainSpec

KINDS: dict[type, str] = {Row: "chats", TextRow: "texts", PairRow: "pairs", VoteRow: "votes"}
"""What rows are called (DatasetReport.kind)."""
WANTED: dict[Objective, tuple[type, ...]] = {
    "chat": (Row,),
    "text": (TextRow,),
    "dpo": (PairRow,),
    "orpo": (PairRow,),
    "kto": (VoteRow, PairRow),
    "grpo": (Row,),
}
_HOLDS = {
    "chats": ("chats", "choose `chat` as what is learnt"),
    "texts": ("plain text", "choose `text` as what is learnt"),
    "pairs": ("preference pairs", "choose DPO, ORPO or KTO as what is learnt"),
    "votes": ("good and bad answers", "choose KTO as what is learnt"),
}
_NEEDS: dict[Objective, str] = {
    "chat": "questions with their answers",
    "text": 'plain text, one {"text": ...} a line or a .txt file',
    "dpo": "a prompt with a chosen and a rejected answer in each row",
    "orpo": "a prompt with a chosen and a rejected answer in each row",
    "kto": "answers with a label, good or bad",
    "grpo": "questions, with answers where the reward compares with them",
}


def objectives_for(kind: type) -> tuple[Objective, ...]:
    """What can be learnt from rows of this type."""
    # What grpo learns is in its reward, which no data names.
    return tuple(name for name, kinds in WANTED.items() if kind in kinds and name != "grpo")


def fitting(row: AnyRow, objective: Objective) -> tuple[AnyRow, ...]:
    """The row as this objective learns it: itself, two votes of a pair, or nothing."""
    if type(row) not in WANTED[objective]:
        return ()
    if objective == "kto" and isinstance(row, PairRow):
        good = VoteRow(row.line, (*row.prompt, row.chosen), True)
        return good, VoteRow(row.line, (*row.prompt, row.rejected), False)
    return (row,)


def rows_for(spec: TrainSpec, path: Path) -> list[AnyRow]:
    """The rows of the spec's kind, at most `spec.limit` of the file's.

    dpo and orpo give PairRows, kto VoteRows, text TextRows, chat Rows. Raises EngineError `data_kind` when
    the file holds another kind, `data_empty` when too few are left.
    """
    return _wanted(spec, path, None)


def held_rows(spec: TrainSpec) -> list[AnyRow]:
    """The rows of the spec's evaluation data, all of them; raises as `rows_for` does."""
    return rows_for(_tested(spec), data_path(spec.eval_data))


def require_held(spec: TrainSpec) -> None:
    """Raise what `held_rows` would raise, after reading no more than it takes to know."""
    require_rows(_tested(spec), data_path(spec.eval_data))


def _tested(spec: TrainSpec) -> TrainSpec:
    return replace(spec, limit=0, eval_fraction=0.0)


def require_rows(spec: TrainSpec, path: Path) -> None:
    """Raise what `rows_for` would raise, after reading no more than it takes to know."""
    _wanted(spec, path, _least(spec))


def _wanted(spec: TrainSpec, path: Path, enough: int | None) -> list[AnyRow]:
    kept: list[AnyRow] = []
    other: type | None = None
    usable = _usable(path, spec)
    for row in islice(usable, spec.limit) if spec.limit else usable:
        taken = fitting(row, spec.objective)
        kept += taken
        if not taken and other is None:
            other = type(row)
        if enough is not None and len(kept) >= enough:
            return kept
    if len(kept) < _least(spec):
        raise _other_kind(path, spec.objective, other) if other and not kept else _too_few(path, len(kept))
    return kept


def _usable(path: Path, spec: TrainSpec) -> Iterator[AnyRow]:
    return (item for item in read_rows(path, spec.columns) if not isinstance(item, Problem))


def _least(spec: TrainSpec) -> int:
    """Rows that a run needs: one to learn from, and one to be tested on where it takes that from them."""
    return 2 if spec.eval_fraction > 0 and not spec.eval_data else 1


def _other_kind(path: Path, objective: Objective, kind: type) -> EngineError:
    holds, remedy = _HOLDS[KINDS[kind]]
    return fault(
        "data_kind",
        f"{path.name} holds {holds}, and this run learns another kind of rows",
        f"`{objective}` needs {_NEEDS[objective]}",
        f"For this file {remedy}",
    )


def _too_few(path: Path, found: int) -> EngineError:
    return fault(
        "data_empty",
        f"{path.name} has {'one usable row' if found else 'no usable row'}, and a run needs at least two: "
        "one to learn from, one to be tested on",
        remedy=f"Run `qwill data check {path}` to see what is wrong with each line",
    )
