"""What the engine tells its clients. Each class declares how it may be merged while it waits."""

from __future__ import annotations

import enum
from typing import ClassVar, Literal

import msgspec

from engine.protocol.errors import ErrorInfo
from engine.protocol.hub import DownloadInfo
from engine.protocol.runs import AdapterInfo, PhaseMark, RunInfo, StepPoint
from engine.protocol.serve import ServingInfo
from engine.protocol.specs import (
    ChatInfo,
    EngineInfo,
    Message,
    MessageState,
    ModelInfo,
    MonitorSample,
    Part,
    ReplyStats,
)


class Delivery(enum.Enum):
    """How an event may be treated while it waits in a slow client's outbox."""

    EXACT = "exact"
    """Committed to the store before it is sent, and never dropped."""
    JOIN = "join"
    """Concatenated with its neighbour of the same key."""
    LATEST = "latest"
    """The newest of its key replaces the one that waits."""


class Body(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="is"):
    """Base of all events; the tag on the wire is the class's name."""

    delivery: ClassVar[Delivery] = Delivery.EXACT

    def key(self) -> str:
        """What LATEST and JOIN compare."""
        return type(self).__name__


# --- the engine and its models --------------------------------------------------------------


class EngineChanged(Body, frozen=True, tag=True):
    engine: EngineInfo


class ModelChanged(Body, frozen=True, tag=True):
    """A model appeared, became ready, was unloaded, or failed to load (with the error)."""

    model: ModelInfo
    error: ErrorInfo | None = None


class ModelGone(Body, frozen=True, tag=True):
    """A model is not on this machine any more."""

    model: str


class ModelLoading(Body, frozen=True, tag=True):
    """Progress of a load, 0 to 1, with the phase in words."""

    delivery: ClassVar[Delivery] = Delivery.LATEST
    model: str
    progress: float
    phase: str = ""

    def key(self) -> str:
        return f"ModelLoading/{self.model}"


class Notice(Body, frozen=True, tag=True):
    """Something the person should know that belongs to no request."""

    level: Literal["info", "warning", "error"]
    info: ErrorInfo


# --- chats and replies ----------------------------------------------------------------------


class ChatChanged(Body, frozen=True, tag=True):
    """A chat is new, or its title, model, settings or head changed."""

    chat: ChatInfo


class ChatGone(Body, frozen=True, tag=True):
    chat: str


class MessageAdded(Body, frozen=True, tag=True):
    """A message joined the tree; a reply comes first as a queued, empty one."""

    message: Message
    shown: bool = True
    """Whether the chat's path goes through it now; a comparison's replies stand beside it."""


class MessageChanged(Body, frozen=True, tag=True):
    """A stored message got or lost a mark."""

    message: Message


class ReplyMoved(Body, frozen=True, tag=True):
    """A live reply went on to its next state."""

    chat: str
    message: str
    state: MessageState


class TextDelta(Body, frozen=True, tag=True):
    """More text of a reply. `offset` counts the code points before it, so that replays are idempotent."""

    delivery: ClassVar[Delivery] = Delivery.JOIN
    chat: str
    message: str
    part: Part
    offset: int
    text: str

    def key(self) -> str:
        return f"TextDelta/{self.message}/{self.part}"


class ReplyProgress(Body, frozen=True, tag=True):
    """Statistics of a growing reply."""

    delivery: ClassVar[Delivery] = Delivery.LATEST
    chat: str
    message: str
    stats: ReplyStats

    def key(self) -> str:
        return f"ReplyProgress/{self.message}"


class ReplyDone(Body, frozen=True, tag=True):
    """A reply is complete as it stands in the store."""

    message: Message


# --- runs -----------------------------------------------------------------------------------


class RunChanged(Body, frozen=True, tag=True):
    """A run is new, or its state, phase, name or adapter changed."""

    run: RunInfo


class RunStepped(Body, frozen=True, tag=True):
    """One line of a run's event log, written there before it is sent."""

    run: str
    point: StepPoint
    eta_s: float | None = None


class RunMarked(Body, frozen=True, tag=True):
    """A phase of a run begins."""

    run: str
    mark: PhaseMark


class RunGone(Body, frozen=True, tag=True):
    run: str


class AdaptersChanged(Body, frozen=True, tag=True):
    """The whole list, after a run ended or a folder was added."""

    adapters: tuple[AdapterInfo, ...]


# --- downloads ------------------------------------------------------------------------------


class DownloadChanged(Body, frozen=True, tag=True):
    """A download is new, or its state, its file or its error changed."""

    download: DownloadInfo


class DownloadProgress(Body, frozen=True, tag=True):
    """How far a running download is; the whole of it, newest only."""

    delivery: ClassVar[Delivery] = Delivery.LATEST
    download: DownloadInfo

    def key(self) -> str:
        return f"DownloadProgress/{self.download.id}"


class DownloadGone(Body, frozen=True, tag=True):
    """A download is off the list."""

    download: str


class ExportMoved(Body, frozen=True, tag=True):
    """Progress of an export, 0 to 1, with the phase in words."""

    delivery: ClassVar[Delivery] = Delivery.LATEST
    job: str
    adapter: str
    progress: float
    phase: str = ""

    def key(self) -> str:
        return f"ExportMoved/{self.job}"


class EvaluationMoved(Body, frozen=True, tag=True):
    """How many rows of an evaluation are done, of everybody's together, and who is measured now."""

    delivery: ClassVar[Delivery] = Delivery.LATEST
    job: str
    done: int
    total: int
    who: str = ""

    def key(self) -> str:
        return f"EvaluationMoved/{self.job}"


class DataMoved(Body, frozen=True, tag=True):
    """How many rows a check or a fetch of data has read, of how many where that is known."""

    delivery: ClassVar[Delivery] = Delivery.LATEST
    job: str
    done: int
    total: int = 0

    def key(self) -> str:
        return f"DataMoved/{self.job}"


class BakeMoved(Body, frozen=True, tag=True):
    """How many replies under a system prompt are done."""

    delivery: ClassVar[Delivery] = Delivery.LATEST
    job: str
    done: int
    total: int

    def key(self) -> str:
        return f"BakeMoved/{self.job}"


class ServingChanged(Body, frozen=True, tag=True):
    """The endpoint was opened or closed, or answered a request."""

    delivery: ClassVar[Delivery] = Delivery.LATEST
    serving: ServingInfo | None = None


# --- the machine ----------------------------------------------------------------------------


class Sampled(Body, frozen=True, tag=True):
    delivery: ClassVar[Delivery] = Delivery.LATEST
    sample: MonitorSample


AnyBody = (
    EngineChanged
    | ModelChanged
    | ModelGone
    | ModelLoading
    | Notice
    | ChatChanged
    | ChatGone
    | MessageAdded
    | MessageChanged
    | ReplyMoved
    | TextDelta
    | ReplyProgress
    | ReplyDone
    | RunChanged
    | RunStepped
    | RunMarked
    | RunGone
    | AdaptersChanged
    | ExportMoved
    | EvaluationMoved
    | DataMoved
    | BakeMoved
    | DownloadChanged
    | DownloadProgress
    | DownloadGone
    | ServingChanged
    | Sampled
)
