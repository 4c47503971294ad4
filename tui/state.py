"""Everything that is shown, as plain data. Only `tui.reduce` and the screen's own verbs change it."""

from __future__ import annotations

from collections import deque
from typing import Literal

import msgspec

from engine.api import ErrorInfo, commands, specs
from engine.api import runs as training
from tui.curve import Curve, Moment, thin
from tui.weights import label

HISTORY = 60
"""Points kept of each small chart."""

MEMORY_POINTS = 600
"""Points kept of the engine's memory over time: 20 minutes at full detail, hours at less."""

LinkState = Literal["connecting", "open", "lost"]


class Turn(msgspec.Struct):
    """One message as far as it has come."""

    id: str
    chat: str
    role: specs.Role
    text: str = ""
    thinking: str = ""
    parent: str | None = None
    state: specs.MessageState = "done"
    created: float = 0.0
    model: str = ""
    adapter: str = ""
    settings: specs.ChatSettings | None = None
    finish: specs.Finish | None = None
    stats: specs.ReplyStats | None = None
    error: ErrorInfo | None = None
    mark: specs.Mark = ""
    origin: specs.Origin = ""
    source: str | None = None
    files: tuple[specs.Attachment, ...] = ()
    images: tuple[specs.ImageRef, ...] = ()
    extra: str = ""
    """JSON of what an imported message had besides; shown on one line."""
    version: int = 1
    versions: int = 1
    since: float = 0.0
    """Monotonic time of the last news about it, so that a running clock can go on between two."""

    @classmethod
    def of(cls, message: specs.Message, now: float = 0.0) -> Turn:
        """The message as the engine tells it. What a tool said is folded away like a thought."""
        tool = message.role == "tool"
        return cls(
            id=message.id,
            chat=message.chat,
            role=message.role,
            text="" if tool else message.text,
            thinking=message.text if tool else message.thinking,
            parent=message.parent,
            state=message.state,
            created=message.created,
            model=message.model,
            adapter=message.adapter,
            settings=message.settings,
            finish=message.finish,
            stats=message.stats,
            error=message.error,
            mark=message.mark,
            origin=message.origin,
            source=message.source,
            files=message.files,
            images=message.images,
            extra=message.extra,
            version=message.version,
            versions=message.versions,
            since=now,
        )

    @property
    def live(self) -> bool:
        """Whether it is still to be written or growing."""
        return self.state != "done"


class Page(msgspec.Struct):
    """The stretch of a chat's path that has been read, oldest first."""

    path: list[str] = msgspec.field(default_factory=list)
    more: bool = False
    """Whether older messages exist before the first one here."""


class Blank(msgspec.Struct, frozen=True):
    """What a chat will be that does not exist yet."""

    settings: specs.ChatSettings = specs.ChatSettings()
    model: str = ""
    """Empty is the engine's default."""
    saved: bool = True
    """Else it is incognito."""


class Pending(msgspec.Struct):
    """A message that was sent, and of which the engine has not said yet that it has it."""

    text: str
    chat: str
    """Empty: the one shown, which does not exist yet."""
    files: tuple[specs.Attachment, ...] = ()
    images: tuple[specs.ImageRef, ...] = ()
    id: str = ""
    """Under which the engine stores it, however often it is sent."""
    opens: str = ""
    """Id of the chat that it opens; empty once that exists."""
    blank: Blank | None = None
    """That chat, once another one is shown in its place."""


class EngineState(msgspec.Struct):
    """One engine as this screen knows it."""

    host: str = ""
    """The machine that it runs on, as it is called here; empty is this one."""
    link: LinkState = "connecting"
    trouble: str = ""
    """While lost: what happened, in one plain sentence or two."""
    info: specs.EngineInfo | None = None
    models: dict[str, specs.ModelInfo] = msgspec.field(default_factory=dict)
    phases: dict[str, str] = msgspec.field(default_factory=dict)
    """Model id to what its load is doing, in words."""
    default_model: str = "demo"
    chats: dict[str, specs.ChatInfo] = msgspec.field(default_factory=dict)
    turns: dict[str, Turn] = msgspec.field(default_factory=dict)
    pages: dict[str, Page] = msgspec.field(default_factory=dict)
    contexts: dict[str, commands.ContextUse] = msgspec.field(default_factory=dict)
    """What the next prompt takes, by chat, as measured last."""
    monitor: specs.MonitorSample | None = None
    speeds: deque[float] = msgspec.field(default_factory=lambda: deque(maxlen=HISTORY))
    """Tokens per second of the newest reply."""
    memory: list[Moment] = msgspec.field(default_factory=list)
    """What the engine held over time, oldest first, of the memory that models are computed in."""
    runs: dict[str, training.RunInfo] = msgspec.field(default_factory=dict)
    curves: dict[str, Curve] = msgspec.field(default_factory=dict)
    """By run: those that go on, those that are drawn, and the ended ones that moved or were read last."""
    drawn: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    """By screen, the runs whose curves it draws: none of these is forgotten."""
    etas: dict[str, float] = msgspec.field(default_factory=dict)
    """Seconds left, by run that trains."""
    adapters: dict[str, training.AdapterInfo] = msgspec.field(default_factory=dict)
    exports: dict[str, tuple[float, str]] = msgspec.field(default_factory=dict)
    """How far each export is, and each system prompt that is baked, and what it is at, by its job."""
    bandwidth: float = 0.0
    """Bytes a second that this machine's memory was measured to read; 0 is not measured yet."""
    downloads: dict[str, commands.DownloadInfo] = msgspec.field(default_factory=dict)
    """From the hub: under way, cancelled, failed, and those done since the engine started."""
    serving: commands.ServingInfo | None = None
    """The endpoint for other programs, while there is one."""
    notices: deque[ErrorInfo] = msgspec.field(default_factory=deque)
    """Told by the engine, not yet shown."""

    def model(self, name: str) -> specs.ModelInfo | None:
        """A model by id."""
        return self.models.get(name)

    def newest_runs(self) -> list[training.RunInfo]:
        """Runs that wait or train first, then the others, newest first."""
        newest = sorted(self.runs.values(), key=lambda run: run.created, reverse=True)
        return sorted(newest, key=lambda run: run.state in training.ENDED_STATES)

    def active_run(self) -> training.RunInfo | None:
        """The run that trains, else the one that waits longest."""
        going = [run for run in self.runs.values() if run.state not in training.ENDED_STATES]
        going.sort(key=lambda run: (run.state != "running", run.created))
        return going[0] if going else None

    def fitting(self, model: str) -> list[training.AdapterInfo]:
        """The adapters that can be activated on a model, newest first."""
        found = [each for each in self.adapters.values() if each.fits(model)]
        return sorted(found, key=lambda each: each.created, reverse=True)

    def adapter_label(self, adapter: str, settings: specs.ChatSettings | None) -> str:
        """`pirate`, or `pirate ×0.8 + legal` where a weight is not 1, or where several answer together."""
        if settings is None:
            return self.adapter_name(adapter)
        active = msgspec.structs.replace(settings, adapter=adapter).adapters
        return label([(self.adapter_name(each.id), each.weight) for each in active])

    def adapter_name(self, adapter: str) -> str:
        """What an adapter is called; its id where nothing is known of it any more."""
        known = self.adapters.get(adapter)
        if known is not None:
            return known.name
        run = self.runs.get(adapter)
        return run.name if run is not None else adapter.rpartition("/")[2]

    def remember_memory(self, moment: Moment) -> None:
        """One more point of the engine's memory."""
        self.memory.append(moment)
        if len(self.memory) > 2 * MEMORY_POINTS:
            self.memory = thin(self.memory)

    def recent(self) -> list[specs.ChatInfo]:
        """Chats that are not archived, newest first."""
        listed = (chat for chat in self.chats.values() if not chat.archived)
        return sorted(listed, key=lambda chat: chat.updated, reverse=True)

    def path(self, chat: str) -> list[Turn]:
        """The turns of a chat that have been read, oldest first."""
        page = self.pages.get(chat)
        return [self.turns[turn] for turn in page.path] if page else []

    def live(self, chat: str) -> Turn | None:
        """The chat's reply that is growing, else the first one that waits."""
        waiting = [turn for turn in self.turns.values() if turn.chat == chat and turn.live]
        waiting.sort(key=lambda turn: turn.state == "queued")
        return waiting[0] if waiting else None


class State(msgspec.Struct):
    """The whole screen: engines by name, which one and which chat is shown, what waits to be sent."""

    engines: dict[str, EngineState] = msgspec.field(default_factory=lambda: {"local": EngineState()})
    current: str = "local"
    chat: str = ""
    """Id of the chat shown; empty is a new one that does not exist yet."""
    blank: Blank = Blank()
    """The chat that does not exist yet."""
    wanted: dict[str, specs.ChatSettings] = msgspec.field(default_factory=dict)
    """By chat, settings that were asked for and that the engine has not answered yet."""
    advice: str = ""
    """On a machine with the demo alone: which model to get first, as the welcome says it."""
    recommended: str = ""
    """Its hub id."""
    new_here: bool = False
    """Whether the tour was never begun: the welcome offers it."""
    pending: list[Pending] = msgspec.field(default_factory=list)
    drafts: dict[str, str] = msgspec.field(default_factory=dict)
    """What was typed and not sent, by chat."""
    files: dict[str, tuple[specs.Attachment, ...]] = msgspec.field(default_factory=dict)
    """What is attached and not sent, by chat."""
    images: dict[str, tuple[specs.ImageRef, ...]] = msgspec.field(default_factory=dict)
    """Images that are attached and not sent, by chat."""

    @property
    def engine(self) -> EngineState:
        """The engine shown."""
        return self.engines[self.current]

    def leave_blank(self) -> bool:
        """What waits in the chat that does not exist yet stays its own, for another such chat may follow.

        False where nothing waits there.
        """
        left = [each for each in self.pending if not each.chat]
        for each in left:
            each.chat, each.blank = each.opens, self.blank
        if left:
            self.blank = msgspec.structs.replace(self.blank, saved=True)
        return bool(left)

    def settings(self) -> specs.ChatSettings:
        """Settings of the chat shown, as they were asked for last."""
        chat = self.engine.chats.get(self.chat)
        return self.wanted.get(self.chat) or (chat.settings if chat else self.blank.settings)

    def incognito(self) -> bool:
        """Whether the chat shown is saved nowhere."""
        chat = self.engine.chats.get(self.chat)
        return not (chat.saved if chat else self.blank.saved)

    def model_id(self) -> str:
        """Id of the model that will answer next in the chat shown."""
        chat = self.engine.chats.get(self.chat)
        return (chat.model if chat else self.blank.model) or self.engine.default_model

    def model(self) -> specs.ModelInfo | None:
        """The model that will answer next in the chat shown, once the engine has told of it."""
        return self.engine.model(self.model_id())

    def live(self) -> Turn | None:
        """The reply under way in the chat shown."""
        return self.engine.live(self.chat) if self.chat else None
