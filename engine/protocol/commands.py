"""What a client can ask. Each command names the type of its result in `Result`."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from engine.protocol.adapters import (
    Check,
    ExportAdapter,
    Exported,
    Proof,
    ProveAdapter,
    StopExport,
    UndoExport,
)
from engine.protocol.bake import Baked, StartBake, StopBake
from engine.protocol.batch import (
    BatchInfo,
    Row,
    RowAnswer,
    RowAnswers,
    RowTurn,
    StartBatch,
    StopBatch,
    TakeRows,
)
from engine.protocol.command import Command, Done
from engine.protocol.data import (
    AppendRows,
    CheckData,
    DataPreview,
    FetchData,
    MaskPreview,
    MaskToken,
    OwnRows,
    PastedRows,
    PasteRows,
    PreviewRow,
    QAPair,
    ReadRows,
    SavedRows,
    SaveRows,
    StopData,
)
from engine.protocol.endpoints import (
    AddEndpoint,
    CheckEndpoint,
    EndpointInfo,
    EndpointList,
    ListEndpoints,
    RemoveEndpoint,
)
from engine.protocol.evaluate import Evaluation, Score, StartEvaluation, StopEvaluation
from engine.protocol.fit import EstimateFit, FitEstimate
from engine.protocol.health import Finding, HealthReport, ModelHealth, ReadHealth
from engine.protocol.hub import (
    CachedRevision,
    CancelDownload,
    DeleteCached,
    DownloadInfo,
    DownloadList,
    Freed,
    HubFile,
    HubModel,
    HubRow,
    HubRows,
    ListDownloads,
    SearchHub,
    ShowHubModel,
    StartDownload,
)
from engine.protocol.inspect import (
    Alternative,
    BranchReply,
    ContextUse,
    CountTokens,
    Inspection,
    InspectReply,
    MeasureContext,
    TokenCount,
    TokenFact,
)
from engine.protocol.memory_history import MemoryPage, MemoryPoint, ReadMemory
from engine.protocol.outward import HarnessScore, HarnessScores, StartHarness, Tracked, TrackRun
from engine.protocol.parcels import (
    WAITING,
    FileList,
    FilePart,
    FolderEntry,
    FolderPage,
    HasFile,
    KeepRun,
    KeptFile,
    ListFiles,
    ListFolder,
    NamedPart,
    Parcel,
    PutPart,
    ReadFile,
    ReadNamed,
)
from engine.protocol.pictures import Preview, PutImage, ReadImage, Upload
from engine.protocol.race import (
    PauseRace,
    RaceInfo,
    RaceRow,
    RaceTable,
    ReadRace,
    ResumeRace,
    StartRace,
    StopRace,
)
from engine.protocol.report import BeforeAfter, Habits, RunReport, RunSample
from engine.protocol.running import (
    ChangeRun,
    Checkpoint,
    CheckpointList,
    DuplicateRun,
    ListCheckpoints,
    MoveRun,
    PauseRun,
    Prunable,
    Pruned,
    PruneRuns,
    Rerun,
    RerunRun,
    ResumeRun,
    RunNow,
)
from engine.protocol.runs import (
    AdapterInfo,
    Dataset,
    Estimate,
    PhaseMark,
    RunInfo,
    StepPoint,
    TrainSpec,
)
from engine.protocol.serve import ServingInfo, ServingState, ShowServing, StartServing, StopServing
from engine.protocol.settings import KeepFree
from engine.protocol.specs import (
    Attachment,
    ChatInfo,
    ChatSettings,
    EngineInfo,
    ImageRef,
    Message,
    ModelInfo,
    Quant,
)
from engine.protocol.transfer import PutChat, PutMessages, ReadTree, TreePage
from engine.protocol.tree import (
    ContinueReply,
    DeleteMessage,
    Edited,
    EditMessage,
    ExportMarked,
    ForkChat,
    ListMarked,
    Marked,
    MarkedList,
    MarkedRows,
    MarkReply,
    ShowVersion,
    Vote,
)

__all__ = [
    "SaveRows",
    "SavedRows",
    "ReadRows",
    "QAPair",
    "PreviewRow",
    "PasteRows",
    "PastedRows",
    "OwnRows",
    "MaskToken",
    "MaskPreview",
    "FetchData",
    "StopData",
    "DataPreview",
    "AppendRows",
    "AdapterList",
    "AddEndpoint",
    "AddFolder",
    "Alternative",
    "AnswerNow",
    "AnyCommand",
    "Baked",
    "BeforeAfter",
    "Habits",
    "RunReport",
    "RunSample",
    "BatchInfo",
    "BranchReply",
    "CachedRevision",
    "CancelDownload",
    "ChangeChat",
    "ChangeRun",
    "ChatList",
    "ChatPage",
    "Check",
    "CheckData",
    "CheckEndpoint",
    "Checkpoint",
    "CheckpointList",
    "Command",
    "ContextUse",
    "ContinueReply",
    "CountTokens",
    "DatasetList",
    "DeleteCached",
    "DeleteChat",
    "DeleteMessage",
    "DeleteRun",
    "Done",
    "DownloadInfo",
    "DownloadList",
    "DuplicateRun",
    "EditMessage",
    "Edited",
    "EndpointInfo",
    "EndpointList",
    "EstimateFit",
    "EstimateRun",
    "Evaluation",
    "ExportAdapter",
    "ExportMarked",
    "Exported",
    "Finding",
    "FitEstimate",
    "ForkChat",
    "Freed",
    "HealthReport",
    "Hit",
    "HitList",
    "HubFile",
    "HubModel",
    "HubRow",
    "HubRows",
    "InspectReply",
    "Inspection",
    "KeepFree",
    "ListAdapters",
    "ListChats",
    "ListCheckpoints",
    "ListDatasets",
    "ListEndpoints",
    "ListDownloads",
    "ListMarked",
    "ListModels",
    "ListRuns",
    "LoadModel",
    "MarkReply",
    "Marked",
    "MarkedList",
    "MarkedRows",
    "MeasureContext",
    "ModelHealth",
    "ModelList",
    "MoveRun",
    "NewChat",
    "PauseRun",
    "Preview",
    "Proof",
    "ProveAdapter",
    "Prunable",
    "PruneRuns",
    "Pruned",
    "PutChat",
    "PutImage",
    "PutMessages",
    "ReadChat",
    "ReadHealth",
    "WAITING",
    "FileList",
    "FilePart",
    "FolderEntry",
    "FolderPage",
    "HasFile",
    "KeepRun",
    "KeptFile",
    "ListFiles",
    "ListFolder",
    "Parcel",
    "PutPart",
    "ReadFile",
    "ReadNamed",
    "NamedPart",
    "ReadMemory",
    "MemoryPage",
    "MemoryPoint",
    "ReadImage",
    "ReadRun",
    "ReadTree",
    "Regenerate",
    "RemoveEndpoint",
    "Rerun",
    "RerunRun",
    "PauseRace",
    "RaceInfo",
    "RaceRow",
    "RaceTable",
    "ReadRace",
    "ResumeRace",
    "StartRace",
    "StopRace",
    "ResumeRun",
    "Row",
    "RowAnswer",
    "RowAnswers",
    "RowTurn",
    "RunList",
    "RunNow",
    "RunPage",
    "SearchChats",
    "SearchHub",
    "Send",
    "Sent",
    "ServingInfo",
    "ServingState",
    "ShowHubModel",
    "ShowModel",
    "ShowServing",
    "ShowVersion",
    "Shutdown",
    "StartBatch",
    "StartDownload",
    "StartRun",
    "StartServing",
    "Status",
    "Score",
    "StartBake",
    "StartEvaluation",
    "HarnessScore",
    "HarnessScores",
    "StartHarness",
    "TrackRun",
    "Tracked",
    "StopBatch",
    "StopBake",
    "StopEvaluation",
    "StopExport",
    "StopReply",
    "StopRun",
    "StopServing",
    "TakeRows",
    "TokenCount",
    "TokenFact",
    "TreePage",
    "UndoExport",
    "UnloadModel",
    "Upload",
    "Vote",
]

# --- models ---------------------------------------------------------------------------------


class ModelList(msgspec.Struct, frozen=True):
    models: tuple[ModelInfo, ...]
    folders: tuple[str, ...] = ()


class ListModels(Command, frozen=True, tag=True):
    """All models that can be found; `refresh` looks at the disk again."""

    Result: ClassVar[type] = ModelList
    refresh: bool = False


class ShowModel(Command, frozen=True, tag=True):
    """One model by id, name or folder."""

    Result: ClassVar[type] = ModelInfo
    model: str


class LoadModel(Command, frozen=True, tag=True):
    """Load a model; replies when it is ready. Progress comes as ModelLoading events."""

    Result: ClassVar[type] = ModelInfo
    model: str
    dtype: str = ""
    """float32, bfloat16, float16; empty: what this machine does fast."""
    evict: bool = False
    """Whether another loaded model may go when both do not fit."""
    quant: Quant | None = None
    """How to hold the weights; None leaves a loaded model as it is, and packs nothing in a new one."""


class UnloadModel(Command, frozen=True, tag=True):
    """Drop a loaded model, or cancel its load."""

    model: str


class AddFolder(Command, frozen=True, tag=True):
    """Look for models in this folder too, now and at later starts."""

    Result: ClassVar[type] = ModelList
    path: str


# --- chats ----------------------------------------------------------------------------------


class ChatList(msgspec.Struct, frozen=True):
    chats: tuple[ChatInfo, ...]


class ListChats(Command, frozen=True, tag=True):
    """Chats, newest first; archived ones only when asked for."""

    Result: ClassVar[type] = ChatList
    limit: int = 50
    offset: int = 0
    archived: bool = False
    tag: str = ""
    """Only those with this tag."""


class Hit(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message that matches a search."""

    chat: str
    title: str
    message: str
    part: str
    """`answer`, `thinking`, or `title` for a chat found by its title or tags."""
    excerpt: str
    """Of the original text, the hit in its middle; of a chat its tags."""
    start: int = 0
    """Where the hit begins in the excerpt, and where it ends."""
    end: int = 0
    role: str = ""
    created: float = 0.0
    tags: tuple[str, ...] = ()
    """Of the chat."""
    archived: bool = False


class HitList(msgspec.Struct, frozen=True):
    hits: tuple[Hit, ...]


class SearchChats(Command, frozen=True, tag=True):
    """Chats by title or tags, then messages and thoughts that hold these words, best first."""

    Result: ClassVar[type] = HitList
    query: str
    limit: int = 50


class ChatPage(msgspec.Struct, frozen=True):
    """A stretch of the chat's current path, oldest first. Live replies come with their text so far."""

    chat: ChatInfo
    messages: tuple[Message, ...]
    more: bool = False
    """Whether older messages exist before the first one here."""


class ReadChat(Command, frozen=True, tag=True):
    """The newest messages of a chat's path, or those before message `before`."""

    Result: ClassVar[type] = ChatPage
    chat: str
    before: str | None = None
    limit: int = 100


class NewChat(Command, frozen=True, tag=True):
    """An empty chat. It appears in the list with its first message."""

    Result: ClassVar[type] = ChatInfo
    model: str = ""
    settings: ChatSettings = ChatSettings()
    saved: bool = True
    id: str = ""
    """Where the client chose it: a chat that is there already is answered as it is."""


class ChangeChat(Command, frozen=True, tag=True):
    """Set what is not None."""

    Result: ClassVar[type] = ChatInfo
    chat: str
    title: str | None = None
    model: str | None = None
    settings: ChatSettings | None = None
    draft: str | None = None
    tags: tuple[str, ...] | None = None
    archived: bool | None = None
    view: str | None = None
    """What a screen wants to find again (folds, scroll), in its own words."""


class DeleteChat(Command, frozen=True, tag=True):
    """Move a chat to the trash; `restore` brings it back."""

    chat: str
    restore: bool = False


# --- replies --------------------------------------------------------------------------------


class Sent(msgspec.Struct, frozen=True):
    """The user's message is stored, the reply is queued (its text comes as TextDelta events)."""

    chat: ChatInfo
    user: Message
    reply: Message


class Send(Command, frozen=True, tag=True):
    """Say something in a chat. Answered once the message is stored, before the reply starts."""

    Result: ClassVar[type] = Sent
    chat: str
    text: str
    evict: bool = False
    files: tuple[Attachment, ...] = ()
    """Texts that stand before the message in the prompt."""
    images: tuple[ImageRef, ...] = ()
    """As PutImage answered them. Refused (`no_vision`) where the chat's model cannot see."""
    id: str = ""
    """Of the message, where the client chose it: sent again after a lost link, it is still sent once."""


class Regenerate(Command, frozen=True, tag=True):
    """Another version of a reply, beside the old one."""

    Result: ClassVar[type] = Message
    chat: str
    message: str
    model: str = ""
    """Another model than the chat's."""
    settings: ChatSettings | None = None
    """Other settings than the chat's."""
    show: bool = True
    """Whether it becomes the version shown; a comparison leaves the path as it is."""


class StopReply(Command, frozen=True, tag=True):
    """End a reply and keep its text; a queued one is cancelled."""

    message: str


class AnswerNow(Command, frozen=True, tag=True):
    """Tell a thinking reply to stop thinking and answer."""

    message: str


# --- training -------------------------------------------------------------------------------


class DatasetList(msgspec.Struct, frozen=True):
    datasets: tuple[Dataset, ...]


class ListDatasets(Command, frozen=True, tag=True):
    """The datasets that come with Qwill."""

    Result: ClassVar[type] = DatasetList


class EstimateRun(Command, frozen=True, tag=True):
    """What a run would take, before it starts. Tokenises the data; loads no weights."""

    Result: ClassVar[type] = Estimate
    spec: TrainSpec


class StartRun(Command, frozen=True, tag=True):
    """Store a run and queue it. Answered at once; refuses a spec or data that cannot work."""

    Result: ClassVar[type] = RunInfo
    spec: TrainSpec
    idle: bool = False
    """Wait until nobody has chatted for some minutes."""
    hold: bool = False
    """Store it, and train it only once somebody resumes it."""


class RunList(msgspec.Struct, frozen=True):
    runs: tuple[RunInfo, ...]


class ListRuns(Command, frozen=True, tag=True):
    """All runs, newest first."""

    Result: ClassVar[type] = RunList


class RunPage(msgspec.Struct, frozen=True):
    """A run and a stretch of its event log, oldest first."""

    run: RunInfo
    points: tuple[StepPoint, ...]
    marks: tuple[PhaseMark, ...]
    more: bool = False
    """Whether points follow the last one here."""
    log: str = ""
    """Path of the event log."""
    damaged: tuple[int, ...] = ()
    """Numbers of the log's first lines that could not be read, from 1."""
    samples: tuple[RunSample, ...] = ()
    """Answers during the run at the steps of this stretch."""
    report: RunReport | None = None
    """Of an ended run, on its first page."""


class ReadRun(Command, frozen=True, tag=True):
    """A run's curve from step `since` on."""

    Result: ClassVar[type] = RunPage
    run: str
    since: int = 0
    limit: int = 4000


class StopRun(Command, frozen=True, tag=True):
    """End a run after its present step; `save` keeps the adapter as it is."""

    Result: ClassVar[type] = RunInfo
    run: str
    save: bool = True


class DeleteRun(Command, frozen=True, tag=True):
    """Move an ended run to the trash, adapter and all; `restore` brings it back."""

    run: str
    restore: bool = False


class AdapterList(msgspec.Struct, frozen=True):
    adapters: tuple[AdapterInfo, ...]


class ListAdapters(Command, frozen=True, tag=True):
    """All adapters that can be found, each with the base that it fits."""

    Result: ClassVar[type] = AdapterList
    refresh: bool = False


# --- the engine -----------------------------------------------------------------------------


class Status(Command, frozen=True, tag=True):
    """The engine itself."""

    Result: ClassVar[type] = EngineInfo


class Shutdown(Command, frozen=True, tag=True):
    """Leave: at once (replies are kept as far as they are), or when nothing is under way."""

    when_idle: bool = False


AnyCommand = (
    ListModels
    | ShowModel
    | LoadModel
    | UnloadModel
    | AddFolder
    | EstimateFit
    | ListChats
    | SearchChats
    | ReadChat
    | NewChat
    | ChangeChat
    | DeleteChat
    | Send
    | Regenerate
    | StopReply
    | ListEndpoints
    | AddEndpoint
    | RemoveEndpoint
    | CheckEndpoint
    | AnswerNow
    | ListDatasets
    | CheckData
    | PreviewRow
    | PasteRows
    | SaveRows
    | AppendRows
    | ReadRows
    | FetchData
    | StopData
    | EstimateRun
    | StartRun
    | ListRuns
    | ReadRun
    | StopRun
    | DeleteRun
    | PauseRun
    | ResumeRun
    | MoveRun
    | RunNow
    | ChangeRun
    | DuplicateRun
    | RerunRun
    | StartRace
    | ReadRace
    | PauseRace
    | ResumeRace
    | StopRace
    | ListCheckpoints
    | PruneRuns
    | ListAdapters
    | ProveAdapter
    | ExportAdapter
    | StopExport
    | UndoExport
    | ShowVersion
    | EditMessage
    | ContinueReply
    | ForkChat
    | DeleteMessage
    | MarkReply
    | ListMarked
    | ExportMarked
    | Vote
    | CountTokens
    | MeasureContext
    | InspectReply
    | BranchReply
    | ReadTree
    | PutChat
    | PutMessages
    | PutImage
    | ReadImage
    | SearchHub
    | ShowHubModel
    | StartDownload
    | CancelDownload
    | ListDownloads
    | DeleteCached
    | StartBatch
    | TakeRows
    | StopBatch
    | StartEvaluation
    | StopEvaluation
    | StartHarness
    | TrackRun
    | StartBake
    | StopBake
    | ReadHealth
    | ReadMemory
    | HasFile
    | PutPart
    | ListFiles
    | ReadFile
    | KeepRun
    | ListFolder
    | ReadNamed
    | KeepFree
    | StartServing
    | StopServing
    | ShowServing
    | Status
    | Shutdown
)
