"""All that can be said of a dataset without a model, read once from end to end, a row at a time."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from engine.data.lines import Record, kind_of, records
from engine.data.load import KINDS, fitting, objectives_for
from engine.data.read import Found, file_hash, found_rows
from engine.data.rows import AnyRow, PairRow, Row, Said, TextRow, VoteRow
from engine.data.said import EMPTY
from engine.data.secrets import secret_in
from engine.data.spread import spread
from engine.protocol.runs import DatasetReport, Problem
from engine.protocol.training import Objective

SHOWN = 100
"""Problems that a report carries at most; all are counted."""


def check(
    path: Path,
    columns: Mapping[str, str] | None = None,
    *,
    objective: Objective | None = None,
    held: Path | None = None,
    limit: int = 0,
    told: Callable[[int], None] | None = None,
) -> DatasetReport:
    """Rows, problems by line and key, sizes, repeats, leaks, keys that should not be there.

    `objective`: rows that it cannot learn from are problems too; `held`: evaluation data, whose prompts are
    looked for; `told`: hears how many rows are read. Raises EngineError `data_unreadable`, `extra_missing`.
    """
    held_prompts, held_rows = _prompts(held, columns) if held is not None else (set(), 0)
    checking = Checking(objective, held_prompts)
    for item in found_rows(path, columns):
        checking.take(item)
        if told is not None:
            told(checking.rows + checking.bad)
        if limit and checking.rows + checking.bad >= limit:
            break
    return checking.report(path, held_rows)


class Checking:
    """Counts while rows go by; of each row it keeps hashes and a length."""

    def __init__(self, objective: Objective | None, held: set[bytes]) -> None:
        self.rows = self.bad = 0
        self._objective = objective
        self._held = held
        self._problems: list[Problem] = []
        self._count: Counter[str] = Counter()
        self._forms: Counter[tuple[str, type]] = Counter()
        self._seen: dict[bytes, int] = {}
        self._sizes = array("Q")
        self._first = ""
        self._keys: tuple[str, ...] = ()

    def take(self, item: Found | Problem) -> None:
        """One row, or what keeps it out."""
        if isinstance(item, Problem):
            self.bad += 1
            self._count["empty"] += item.what == EMPTY
            self._note(item)
            return
        row = item.row
        self._forms[item.form, type(row)] += 1
        self._keys = self._keys or item.keys
        if self._objective and not fitting(row, self._objective):
            self.bad += 1
            what = f"holds {KINDS[type(row)]}, which `{self._objective}` cannot learn from"
            self._note(Problem(row.line, "", what))
            return
        self._measure(row)
        self._compare(row)

    def _measure(self, row: AnyRow) -> None:
        self.rows += 1
        said = tuple(messages(row))
        size = sum(len(text) + len(thinking) for _, _, text, thinking in said)
        self._sizes.append(size)
        self._first = self._first or said[0][2][:2000]
        self._count["turns"] += len(said)
        self._count["labelled"] += sum(len(text) for _, role, text, _ in said if role == "assistant")
        self._count["good"] += isinstance(row, VoteRow) and row.good
        for key, _, text, thinking in said:
            if kind := secret_in(text) or secret_in(thinking):
                self._count["secrets"] += 1
                self._note(Problem(row.line, key, f"holds what looks like {kind}", fatal=False))
                break

    def _compare(self, row: AnyRow) -> None:
        first = self._seen.setdefault(row_hash(row), row.line)
        if first != row.line:
            self._count["repeated"] += 1
            self._note(Problem(row.line, whole_key(row), f"the same as line {first}", fatal=False))
        if self._held and prompt_hash(row) in self._held:
            self._count["leaks"] += 1
            what = "the same prompt is in the evaluation data"
            self._note(Problem(row.line, whole_key(row), what, fatal=False))

    def _note(self, problem: Problem) -> None:
        self._count["problems"] += 1
        if len(self._problems) < SHOWN:
            self._problems.append(problem)

    def report(self, path: Path, held: int) -> DatasetReport:
        """What was found."""
        [((form, kind), _)] = self._forms.most_common(1) or [(("", type(None)), 0)]
        count = self._count
        return DatasetReport(
            path=str(path),
            rows=self.rows,
            problems=tuple(self._problems),
            problem_count=count["problems"],
            turns=count["turns"],
            characters=sum(self._sizes),
            labelled_characters=count["labelled"],
            longest=max(self._sizes, default=0),
            sha256=file_hash(path),
            first=self._first,
            form=form,
            kind=KINDS.get(kind, ""),
            file=kind_of(path),
            objectives=objectives_for(kind),
            keys=self._keys or _keys(path),
            bad=self.bad,
            repeated=count["repeated"],
            empty=count["empty"],
            secrets=count["secrets"],
            leaks=count["leaks"],
            held=held,
            good=count["good"],
            lengths=spread(self._sizes),
        )


def messages(row: AnyRow) -> Iterator[tuple[str, str, str, str]]:
    """(key, role, text, thinking) of everything in a row."""
    if isinstance(row, TextRow):
        yield "text", "assistant", row.text, ""
        return
    said = row.prompt if isinstance(row, PairRow) else row.messages
    name = "prompt" if isinstance(row, PairRow) else "messages"
    for place, each in enumerate(said):
        yield f"{name}[{place}].content", each.role, each.content, each.thinking
    if isinstance(row, PairRow):
        yield "chosen", "assistant", row.chosen.content, row.chosen.thinking
        yield "rejected", "assistant", row.rejected.content, row.rejected.thinking


def prompt_hash(row: AnyRow) -> bytes:
    """Of what is asked, without regard to case and spacing; of the text, where a row asks nothing."""
    if isinstance(row, TextRow):
        return _hash(_loose(row.text))
    said: tuple[Said, ...] = row.prompt if isinstance(row, PairRow) else row.messages[:-1]
    asked = [_loose(each.content) for each in said if each.role != "system"]
    return _hash(*asked) if asked else row_hash(row)


def row_hash(row: AnyRow) -> bytes:
    """Of all that stands in it."""
    return _hash(*_flat(row))


def whole_key(row: AnyRow) -> str:
    """The key that stands for all of a row."""
    names = {Row: "messages", TextRow: "text", PairRow: "prompt", VoteRow: "messages"}
    return names[type(row)]


def _keys(path: Path) -> tuple[str, ...]:
    """The columns of the first record, where none was understood."""
    first = next((item for item in records(path) if isinstance(item, Record)), None)
    return () if first is None else tuple(map(str, first.value))[:50]


def _prompts(path: Path, columns: Mapping[str, str] | None) -> tuple[set[bytes], int]:
    prompts = [prompt_hash(item.row) for item in found_rows(path, columns) if isinstance(item, Found)]
    return set(prompts), len(prompts)


def _flat(row: AnyRow) -> Iterator[str]:
    for key, role, text, thinking in messages(row):
        yield from (key, role, text, thinking)
    if isinstance(row, VoteRow):
        yield str(row.good)


def _loose(text: str) -> str:
    return " ".join(text.split()).casefold()


def _hash(*parts: str) -> bytes:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(part.encode("utf-8", "replace"))
        digest.update(b"\0")
    return digest.digest()
