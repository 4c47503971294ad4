"""Rows as a run will see them: counted in tokens, or shown one by one with their labels. Loads no weights."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

from msgspec.structs import replace
from transformers import PreTrainedTokenizerBase

from engine.chat.template import ChatTemplate
from engine.data.load import fitting
from engine.data.read import read_rows
from engine.data.rows import AnyRow, PairRow, Row, Said, TextRow, VoteRow
from engine.data.spread import spread
from engine.protocol.data import MaskPreview, MaskToken, PairSide, PreviewRow
from engine.protocol.errors import fault
from engine.protocol.runs import DatasetReport, Problem
from engine.protocol.specs import ModelInfo
from engine.protocol.training import TrainSpec
from engine.workers.folder import checked_config
from engine.workers.load import build_config
from engine.workers.training.base import labeller
from engine.workers.training.labels import IGNORED, Example, Labeller
from engine.workers.vocabulary import Vocabulary, end_ids

SHOWN = 20_000
"""Tokens of a preview at most."""
WINDOW = 100
"""Problems that a report carries at most."""
BROKEN = "\ufffd"
HIDDEN = "The model's chat template leaves this answer out, so there is nothing to put a label on"


def counted(
    report: DatasetReport,
    spec: TrainSpec,
    model: ModelInfo,
    path: Path,
    told: Callable[[int, int], None] | None = None,
) -> DatasetReport:
    """The report with what the rows are in this model's tokens, within `spec.length` and `spec.limit`.

    `told` hears how many rows are read, of how many.
    """
    with_labels = labeller_of(model)
    sizes = array("Q")
    count = {"too_long": 0, "unmatched": 0, "labelled": 0, "unstopped": 0}
    problems = list(report.problems)
    more = 0
    for done, row in enumerate(_usable(spec, path)):
        if told is not None:
            told(done, report.rows)
        for _, example in examples(row, with_labels):
            what = _judge(example, spec.length, with_labels, count)
            if example is not None:
                sizes.append(len(example.ids))
            if what:
                more += 1
                if len(problems) < WINDOW:
                    problems.append(Problem(row.line, "", what))
    return replace(
        report,
        problems=tuple(sorted(problems, key=lambda problem: problem.line)),
        problem_count=report.problem_count + more,
        tokens=spread(sizes),
        examples=len(sizes) - count["too_long"],
        **count,
    )


def _judge(example: Example | None, length: int, labels: Labeller, count: dict[str, int]) -> str:
    """Count an example; returns why it is left out, if it is."""
    if example is None:
        count["unmatched"] += 1
        return "the model's chat template leaves the answer out"
    if len(example.ids) > length:
        count["too_long"] += 1
        return f"{len(example.ids):,} tokens, over the length of {length:,}"
    count["labelled"] += example.labelled
    count["unstopped"] += not labels.stops(example)
    return ""


def preview(command: PreviewRow, model: ModelInfo, path: Path) -> MaskPreview:
    """One row with its labels; raises EngineError `row_unknown`."""
    spec = command.spec
    rows = _count(path, _stamp(path), tuple(sorted(spec.columns.items())), spec.objective, spec.limit)
    row = next((row for at, row in enumerate(_usable(spec, path), 1) if at == command.row), None)
    if row is None:
        raise fault(
            "row_unknown",
            f"There is no row {command.row:,}",
            f"{path.name} has {rows:,} usable rows for `{spec.objective}`",
            "Choose one of them",
        )
    with_labels = labeller_of(model)
    found = list(examples(row, with_labels))
    place = {"": command.answer - 1, "chosen": 0, "rejected": 1}[command.side]
    place = min(max(place, 0), len(found) - 1)
    side, example = found[place]
    facts = {"row": command.row, "rows": rows, "line": row.line, "answer": place + 1, "answers": len(found)}
    good = row.good if isinstance(row, VoteRow) else None
    if example is None:
        return MaskPreview(tokens=(), side=side, good=good, why=HIDDEN, **facts)  # type: ignore[arg-type]
    return MaskPreview(
        tokens=tuple(shown(example, with_labels.tokenizer)),
        total=len(example.ids),
        labelled=example.labelled,
        stop_trained=with_labels.stops(example),
        cut=0 if isinstance(row, TextRow) else max(0, len(example.ids) - spec.length),
        side=side,
        good=good,
        **facts,  # type: ignore[arg-type]
    )


def examples(row: AnyRow, labels: Labeller) -> Iterator[tuple[PairSide, Example | None]]:
    """(side, example) of every answer in a row; None where the template hides the answer."""
    if isinstance(row, TextRow):
        yield "", labels.text(row.text)
    elif isinstance(row, PairRow):
        yield "chosen", labels.example((*row.prompt, row.chosen))
        yield "rejected", labels.example((*row.prompt, row.rejected))
    elif isinstance(row, VoteRow):
        yield "", labels.example(row.messages)
    else:
        for chat in answers(row):
            yield "", labels.example(chat)


def answers(row: Row) -> Iterator[tuple[Said, ...]]:
    """The chat up to each of its answers."""
    for place, said in enumerate(row.messages):
        if said.role == "assistant":
            yield row.messages[: place + 1]


def shown(example: Example, tokenizer: PreTrainedTokenizerBase) -> Iterator[MaskToken]:
    """The tokens' texts, which put together are the decoded row."""
    ids = example.ids[:SHOWN]
    begin = done = 0
    for at, label in enumerate(example.labels[:SHOWN], 1):
        before = _decoded(tokenizer, ids[begin:done])
        text = _decoded(tokenizer, ids[begin:at])[len(before) :]
        if text.endswith(BROKEN) and at - done < 8 and at < len(ids):
            yield MaskToken("", label != IGNORED)
            continue
        begin, done = done, at
        yield MaskToken(text, label != IGNORED)


@lru_cache(maxsize=2)
def _labeller(folder: str, name: str, stamps: tuple[int, ...]) -> Labeller:
    path = Path(folder)
    config = build_config(checked_config(path, name), name)
    vocabulary = Vocabulary.load(path, ChatTemplate.load(path), end_ids(config))
    return labeller(vocabulary, ModelInfo(name, name, path=folder))


def labeller_of(model: ModelInfo) -> Labeller:
    """Of the model's files as they are now. Raises EngineError `tokenizer_broken`, `no_template`."""
    files = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "config.json")
    return _labeller(model.path, model.name, tuple(_stamp(Path(model.path) / name) for name in files))


@lru_cache(maxsize=8)
def _count(path: Path, stamp: int, columns: tuple[tuple[str, str], ...], objective: str, limit: int) -> int:
    spec = TrainSpec("", "", objective=objective, columns=dict(columns), limit=limit)  # type: ignore[arg-type]
    return sum(1 for _ in _usable(spec, path))


def _usable(spec: TrainSpec, path: Path) -> Iterator[AnyRow]:
    """Rows of the file that the objective learns from; a preference stays one row."""
    seen = 0
    for row in read_rows(path, spec.columns):
        if isinstance(row, Problem):
            continue
        seen += 1
        if spec.limit and seen > spec.limit:
            return
        if fitting(row, spec.objective):
            yield row


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _decoded(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    if not ids:
        return ""
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))
