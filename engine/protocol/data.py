"""Datasets over the link: checked, previewed as a run sees them, pasted, written. Plain data."""

from __future__ import annotations

from typing import ClassVar, Literal

import msgspec

from engine.protocol.command import Command, Done
from engine.protocol.runs import DatasetReport
from engine.protocol.training import Objective, TrainSpec

PairSide = Literal["", "chosen", "rejected"]


class CheckData(Command, frozen=True, tag=True):
    """Read a dataset and name what is wrong, by line and key. With a model, counted in its tokens too."""

    Result: ClassVar[type] = DatasetReport
    data: str
    """As in TrainSpec.data."""
    columns: dict[str, str] = {}
    """As in TrainSpec.columns."""
    objective: Objective | Literal[""] = ""
    """What is to be learnt of it; empty judges it by its own kind."""
    model: str = ""
    """Id of the model whose tokens are counted; empty counts none."""
    length: int = 1024
    """Tokens of a row at most."""
    eval_data: str = ""
    """A dataset that is held out: rows with the same prompt are named."""
    limit: int = 0
    """Rows that are read at most; 0 is all."""
    job: str = ""
    """Names it in DataMoved and for StopData; empty tells nothing."""


class MaskToken(msgspec.Struct, frozen=True, omit_defaults=True):
    """One token of a row as it is learnt."""

    text: str
    """As it is decoded; a character split over tokens stands with the last of them."""
    labelled: bool = False
    """Whether it carries loss."""


class MaskPreview(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row of a dataset as a run will see it."""

    row: int
    """Its place among the usable rows, from 1."""
    rows: int
    """Usable rows."""
    line: int
    tokens: tuple[MaskToken, ...]
    """The first of them, at most 20,000."""
    total: int = 0
    """Tokens in all."""
    labelled: int = 0
    stop_trained: bool = False
    """Whether the token at which generation ends carries loss."""
    cut: int = 0
    """Tokens over the run's length; the row is left out then, never cut."""
    answer: int = 1
    """Which answer of the row this is, from 1; each is an example of its own."""
    answers: int = 1
    side: PairSide = ""
    """Which of the two answers of a preference this is."""
    good: bool | None = None
    """The verdict of a vote."""
    why: str = ""
    """One sentence when the row teaches nothing; there are no labelled tokens then."""


class PreviewRow(Command, frozen=True, tag=True):
    """Render one row with the model's template, its labelled tokens marked. Loads no weights.

    Raises EngineError `row_unknown` beyond the last row, and what a check raises.
    """

    Result: ClassVar[type] = MaskPreview
    spec: TrainSpec
    row: int = 1
    """Among the usable rows, from 1."""
    answer: int = 1
    side: PairSide = ""
    """Of a preference: which answer; empty is the chosen one."""


class QAPair(msgspec.Struct, frozen=True):
    """A question and its answer."""

    question: str
    answer: str


class PastedRows(msgspec.Struct, frozen=True):
    """What a pasted text holds."""

    pairs: tuple[QAPair, ...]
    form: str = ""
    """`tab`, `csv`, `q and a`, `blank lines`, `jsonl`; empty where nothing was found."""
    problems: tuple[str, ...] = ()
    """One sentence each, with the line."""


class PasteRows(Command, frozen=True, tag=True):
    """Find the question and answer pairs in a text: two columns, `Q: A:`, or blank lines between."""

    Result: ClassVar[type] = PastedRows
    text: str


class SavedRows(msgspec.Struct, frozen=True):
    """A dataset of one's own."""

    path: str
    rows: int
    version: str
    """The first twelve digits of the SHA-256 of its bytes."""


class SaveRows(Command, frozen=True, tag=True):
    """Write pairs as chats into the data folder, `datasets/NAME.jsonl`, in place of what was there.

    The file that it replaces stays beside it as `NAME.VERSION.jsonl`. Raises EngineError `data_empty`,
    `data_unwritable`.
    """

    Result: ClassVar[type] = SavedRows
    pairs: tuple[QAPair, ...]
    name: str
    system: str = ""
    """A system prompt that every row begins with."""


class AppendRows(Command, frozen=True, tag=True):
    """Add pairs to a dataset of one's own (by its name), which is made where there is none."""

    Result: ClassVar[type] = SavedRows
    pairs: tuple[QAPair, ...]
    name: str
    system: str = ""


class OwnRows(msgspec.Struct, frozen=True):
    """The questions and answers of a dataset of one's own."""

    path: str
    pairs: tuple[QAPair, ...]
    other: int = 0
    """Rows that are no plain question and answer; saving pairs would lose them."""
    more: bool = False


class ReadRows(Command, frozen=True, tag=True):
    """Read a dataset of one's own back for the editor. Raises EngineError `data_unreadable`."""

    Result: ClassVar[type] = OwnRows
    name: str
    offset: int = 0


class DataPreview(msgspec.Struct, frozen=True):
    """The first rows of a dataset of the hub."""

    data: str
    path: str
    """Where the rows that were fetched lie."""
    rows: tuple[str, ...]
    """Each as JSON, shortened."""
    columns: tuple[str, ...]
    count: int
    """Rows that were fetched."""


class FetchData(Command, frozen=True, tag=True):
    """Fetch rows of a dataset of the hub, `hub:OWNER/NAME[:CONFIG][@SPLIT]`; needs the extra `[datasets]`.

    Raises EngineError `extra_missing`, `hub_offline`, `data_unreadable`.
    """

    Result: ClassVar[type] = DataPreview
    data: str
    limit: int = 1000
    job: str = ""
    """Names it in DataMoved and for StopData; empty tells nothing."""


class StopData(Command, frozen=True, tag=True):
    """End a check or a fetch, which is then answered with EngineError `cancelled`."""

    Result: ClassVar[type] = Done
    job: str
