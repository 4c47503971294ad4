"""Commands for many prompts at once: rows go in together, answers are taken as they are done."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from engine.protocol.command import Command
from engine.protocol.errors import ErrorInfo
from engine.protocol.specs import ChatSettings, Finish, ReplyStats, Role, WeightedAdapter

ROWS = 256
"""Of one batch at most."""


class RowTurn(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message of a row."""

    role: Role
    text: str
    thinking: str = ""


class Row(msgspec.Struct, frozen=True):
    """One conversation that wants an answer; its last turn is the user's."""

    turns: tuple[RowTurn, ...]
    settings: ChatSettings = ChatSettings()
    """The adapters are the batch's, whatever stands here."""


class RowAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one row."""

    place: int
    """0-based, among the rows of its batch."""
    text: str = ""
    thinking: str = ""
    finish: Finish = "stop"
    stats: ReplyStats = ReplyStats()
    seed: int = 0
    error: ErrorInfo | None = None


class BatchInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """A batch that was begun."""

    id: str
    model: str
    together: bool = True
    """False: this model answers one row after another."""
    why: str = ""
    """One sentence on that."""


class RowAnswers(msgspec.Struct, frozen=True):
    """Some of a batch's answers, in the order in which they were done."""

    answers: tuple[RowAnswer, ...]
    left: int
    """Rows whose answers are still to be taken behind these."""


class StartBatch(Command, frozen=True, tag=True):
    """Answer these rows; loads the model where it is not. Nothing is stored as a chat."""

    Result: ClassVar[type] = BatchInfo
    model: str
    rows: tuple[Row, ...]
    adapters: tuple[WeightedAdapter, ...] = ()
    evict: bool = False


class TakeRows(Command, frozen=True, tag=True):
    """Wait until more rows are answered. A client that leaves meanwhile stops the batch."""

    Result: ClassVar[type] = RowAnswers
    batch: str
    after: int = 0
    """Answers that the client has."""


class StopBatch(Command, frozen=True, tag=True):
    """End a batch; answers what is done and was not taken."""

    Result: ClassVar[type] = RowAnswers
    batch: str
    after: int = 0
    """Answers that the client has."""
