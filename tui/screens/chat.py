"""The workbench: chat in the middle, chats and models on the left, speed and memory on the right."""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Awaitable, Callable
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widget import MountError

from tui import environment, slash
from tui.actions import Moment, Where
from tui.bindings import bindings
from tui.format import plural
from tui.link import Link, Wire
from tui.outbox import Outbox
from tui.prompt_history import PromptHistory
from tui.reduce import Dirty, What
from tui.screens.adapter_verbs import AdapterVerbs
from tui.screens.bake_verbs import BakeVerbs
from tui.screens.compare_verbs import CompareVerbs
from tui.screens.image_verbs import ImageVerbs
from tui.screens.inspect_verbs import InspectVerbs
from tui.screens.keep_verbs import KeepVerbs
from tui.screens.look_verbs import LookVerbs
from tui.screens.param_verbs import ParamVerbs
from tui.screens.place_verbs import PlaceVerbs
from tui.screens.prompt_verbs import PromptVerbs
from tui.screens.side_verbs import SideVerbs
from tui.screens.tour_verbs import TourVerbs
from tui.screens.typed_first import TypedFirst
from tui.screens.version_verbs import VersionVerbs
from tui.state import Blank, State
from tui.widgets.banner import Banner
from tui.widgets.composer import Composer, ComposerBox
from tui.widgets.edit_line import EditLine
from tui.widgets.header import Header
from tui.widgets.key_hints import KeyHints
from tui.widgets.lines import name
from tui.widgets.monitor_pane import MonitorPane
from tui.widgets.rule import Rule
from tui.widgets.side_pane import SidePane
from tui.widgets.suggestions import Suggestions
from tui.widgets.tour_card import TourCard
from tui.widgets.transcript import Transcript

CLOCK = 0.1
"""Seconds between drawings while a running clock is on the screen."""
COVERED = 0.5
"""Seconds after which the engine is called even if the first paint was not seen."""
PRELOAD = 0.3
"""Seconds after the first paint at which the Markdown widgets are imported, if no reply needed them yet."""
ON_THE_WAY = 0.2
"""Seconds for which the messages of a changed path may follow the news of it."""

_MOMENTS = {
    "chat": Moment.CHATS,
    "model": Moment.MODELS,
    "adapter": Moment.ADAPTERS,
    "run": Moment.RUN_ROWS,
    "place": Moment.CHATS,
}
_LISTED = {What.ENGINE, What.MODELS, What.CHATS, What.PATH, What.TURN, What.RUNS, What.ADAPTERS}
"""What the left pane shows."""
_MEASURED = {What.ENGINE, What.CHATS, What.MONITOR, What.SPEED, What.PATH, What.RUNS, What.CURVE}
"""What the right pane shows."""


class Workbench(
    PlaceVerbs,
    SideVerbs,
    ImageVerbs,
    KeepVerbs,
    VersionVerbs,
    TourVerbs,
    CompareVerbs,
    InspectVerbs,
    BakeVerbs,
    AdapterVerbs,
    LookVerbs,
    PromptVerbs,
    ParamVerbs,
    TypedFirst,
):
    """Owns the link; draws by the clock what the link has marked."""

    DEFAULT_CSS = """
    Workbench {
        layout: vertical;
        overflow: hidden;
        layers: base drawer;
    }
    Workbench .panes {
        height: 1fr;
    }
    Workbench .middle {
        width: 1fr;
    }
    Workbench.-narrow SidePane, Workbench.-narrow MonitorPane {
        display: none;
        layer: drawer;
    }
    Workbench.-narrow SidePane {
        dock: left;
        width: 30;
        max-width: 80%;
    }
    Workbench.-narrow MonitorPane {
        dock: right;
        width: 30;
        max-width: 80%;
    }
    Workbench.-narrow SidePane.-open, Workbench.-narrow MonitorPane.-open {
        display: block;
        background: $surface;
    }
    Workbench MonitorPane.-away {
        display: none;
    }
    Workbench.-tiny Header {
        display: none;
    }
    Workbench.-tiny Rule {
        display: none;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.CHAT)
    AUTO_FOCUS: ClassVar[str | None] = ""  # the composer has it from the start, and keeps it

    class Opened(Message):
        """The first paint is out."""

    def __init__(
        self,
        dial: Callable[[], Awaitable[Wire]],
        *,
        model: str | None = None,
        tour: bool = False,
        host: str = "",
    ) -> None:
        super().__init__()
        self.state = State(blank=Blank(model=model or ""))
        self.state.engine.host = host
        self._wanted_model = model
        self._trash = []
        self._gone = []
        self._counts = {}
        self._detached = []
        self._awaited, self._ends_told = {}, {}
        self._dialled = False
        self._wake, self.seated = asyncio.Event(), asyncio.Event()
        self.seated.set()
        self._first_link = True
        self.link = Link(self.state.engine, dial, on_dirty=self._wake.set, on_open=self._linked)
        self.header = Header(self.state)
        self.side = SidePane(self.state)
        self.transcript = Transcript(self.state)
        self.suggestions = Suggestions()
        self.history = PromptHistory(self.state, self.link)
        self.composer = Composer(self.suggestions, self)
        self.edit_line = EditLine()
        self.card = TourCard()
        self.outbox = Outbox(host)
        self._tour = tour
        self.box = ComposerBox(self.composer)
        self.monitor = MonitorPane(self.state)
        self.rule = Rule(self.side, self.monitor)
        self.banner = Banner()
        self.hints = KeyHints(self.state)

    def compose(self) -> ComposeResult:
        yield self.header
        yield self.rule
        with Horizontal(classes="panes"):
            yield self.side
            with Vertical(classes="middle"):
                yield self.transcript
                yield self.box
            yield self.monitor
        yield self.hints

    def on_mount(self) -> None:
        self.composer.focus()
        self.call_after_refresh(self._painted)
        # A screen that is covered at once, by an early F3 say, is never refreshed.
        self.set_timer(COVERED, self._painted)

    def _painted(self) -> None:
        """The first paint is out: now the engine, and everything that takes time. Once only."""
        if self._dialled:
            return
        self._dialled = True
        self._mount_hidden()
        self.recover()
        self.restore_new()
        self.post_message(self.Opened())
        self.wake_tour(begin=self._tour)
        self.run_worker(self._draw_by_the_clock())
        self.run_worker(self.link.run())
        self.set_timer(PRELOAD, _preload)
        self.set_timer(PRELOAD, self.wake_themes)
        self.set_timer(PRELOAD, self.wake_places)

    def _mount_hidden(self) -> None:
        """What is not seen at first: it would only hold up the first paint."""
        assert isinstance(self.box.parent, Vertical)
        self.box.parent.mount(self.card, self.suggestions, self.edit_line, before=self.box)
        self.mount(self.banner, before=self.hints)

    def on_resize(self, event: events.Resize) -> None:
        tiny = event.size.width < 60 or event.size.height < 16
        self.set_class(event.size.width < 100, "-narrow")
        self.set_class(tiny, "-tiny")
        self.hints.tiny = tiny
        self.hints.refresh()
        self.call_after_refresh(self.rule.refresh)

    # --- the link ---------------------------------------------------------------------------

    def _linked(self) -> None:
        """A link is open, the first or a later one: show where things stand, send what waited."""
        engine = self.state.engine
        first, self._first_link = self._first_link, False
        if self.state.chat:
            self.attempt(self.link.read(self.state.chat))
        elif first and not self.state.pending:
            recent = engine.recent()
            begun = self.composer.text or self.state.files.get("") or self.state.images.get("")
            if recent and self._wanted_model is None and not begun:
                self.open_chat(recent[0].id)
        self.warm(self.state.model_id())
        self.set_timer(PRELOAD, lambda: self.attempt(self.advise(), failed=lambda info: None))
        self.read_shown_run()
        if self.state.pending:
            self.send_pending()

    # --- drawing ----------------------------------------------------------------------------

    async def _draw_by_the_clock(self) -> None:
        """Draw what is dirty, at most once a tick; a growing reply keeps its clock going."""
        while True:
            await self.seated.wait()
            patience = CLOCK if self.transcript.busy else None
            try:
                await asyncio.wait_for(self._wake.wait(), patience)
            except TimeoutError:
                pass
            if not self.seated.is_set():
                continue  # what is dirty is drawn once it is shown again
            self._wake.clear()
            started = time.monotonic()
            try:
                await self.draw()
            except MountError:
                if self.is_attached:
                    raise
                return  # the program is being left in the middle of a drawing
            await asyncio.sleep(max(0.005, environment.TICK - (time.monotonic() - started)))

    async def draw(self) -> None:
        """Bring the screen in line with the state."""
        dirty, self.link.dirty = self.link.dirty, set()
        kinds = {part.what for part in dirty}
        self._reread(dirty)
        if kinds & {What.ENGINE, What.MODELS, What.CHATS, What.SPEED, What.RUNS, What.ADAPTERS}:
            self.header.redraw()
            self.hints.redraw()
        if kinds & _LISTED:
            self.side.redraw()
        if kinds & _MEASURED:
            self.monitor.redraw()
        if What.STRAIN in kinds:
            self.header.redraw()
            self.tell_strain()
        if kinds & {What.ENGINE, What.MODELS, What.CHATS, What.PATH, What.SPEED}:
            self.measure_soon()
        if What.ENGINE in kinds:
            self.banner.say(self.state.engine.trouble if self.state.engine.link == "lost" else "")
        if kinds & {What.ENGINE, What.MODELS, What.CHATS}:
            await self.transcript.refresh_welcome()
        touched = {part.id for part in dirty if part.what is What.TURN}
        await self.transcript.draw(touched, path_changed=What.PATH in kinds)
        self._show_badge()
        self.hints.show_moment(self.moment())
        self.follow_runs(dirty)
        if What.DOWNLOADS in kinds:
            self.follow_downloads(dirty)
        while What.NOTICE in kinds and self.state.engine.notices:
            self.say(self.state.engine.notices.popleft().sentence(), grave=True, for_seconds=8)

    def moment(self) -> Moment:
        """What the key hints are for now."""
        if self.state.engine.link == "lost":
            return Moment.LOST
        if self.focused is self.side:
            row = self.side.row
            return _MOMENTS[row.kind] if row is not None else Moment.CHATS
        if self.focused is self.card:
            return Moment.TOUR
        if self.composer.completing:
            return Moment.COMPLETING
        live = self.state.live()
        if live is not None:
            return Moment.THINKING if live.state == "thinking" else Moment.REPLYING
        return Moment.TRANSCRIPT if self.focused is self.transcript else Moment.COMPOSER

    def _reread(self, dirty: set[Dirty]) -> None:
        """Chats of which something was missed; one that is not shown is read when it is opened."""
        for part in dirty:
            if part.what is What.HEAD:
                self.set_timer(ON_THE_WAY, lambda chat=part.id: self._follow_head(chat))
            elif part.what is What.GAP and part.id == self.state.chat:
                self.attempt(self.link.read(part.id))

    def _follow_head(self, chat: str) -> None:
        """Read a chat whose path was changed elsewhere, unless what it lacked has come meanwhile."""
        known, path = self.state.engine.chats.get(chat), self.state.engine.path(chat)
        if chat != self.state.chat or known is None or known.head is None:
            return
        if not path or path[-1].id != known.head:
            self.attempt(self.link.read(chat), failed=lambda info: None)

    def _show_badge(self) -> None:
        unseen = self.transcript.unseen
        words = ""
        if not self.transcript.following:
            words = f"↓ {plural(unseen, 'new line')}" if unseen else "End follows again"
        self.box.badge(words)

    # --- what the widgets say ---------------------------------------------------------------

    def take_text(self, text: str) -> None:
        if self.save_edit(text):
            return
        call = slash.parse(text)
        if call is None:
            self.composer.let_go(text)
            self.send(text)
        elif call.action is None:
            self.say(f"There is no command /{name(call.name)}. /help lists them.", grave=True)
        else:
            self.composer.let_go(text)
            self.run_command(call.action.id, call.argument)

    def run_command(self, action_id: str, argument: str = "") -> None:
        """Do an action of the table, as a slash command or from the palette.

        At once, not in a task: the words that come right behind it belong to what it opens.
        """
        self.tour_saw(action_id)
        going_on = getattr(self, f"action_{action_id}")(argument)
        if going_on is not None:
            self.run_worker(going_on)

    def action_show_models(self, argument: str = "") -> None:
        from tui.screens.models import Models

        self.show_layer(Models(self))

    def action_serve(self, argument: str = "") -> None:
        from tui.screens.serve_flow import open_serving

        open_serving(self, argument)

    def action_marked(self, argument: str = "") -> None:
        from tui.screens.marked import Marked

        self.show_layer(Marked(self))

    def leave_composer(self, key: str) -> None:
        if key == "tab":
            self.action_next_pane()
        elif key == "backspace":
            self.backspace_at_start()
        else:
            self.action_leave()

    def typed(self) -> None:
        if environment.REMOTE:
            self.show_typed(self.composer)

    def on_text_area_changed(self) -> None:
        self.disarm()
        self.keep_draft_soon()
        self.measure_soon()
        self.hints.show_moment(self.moment())

    def on_descendant_focus(self) -> None:
        self.side.set_class(self.focused is self.side, "-open")
        self.hints.show_moment(self.moment())

    def on_transcript_verb(self, event: Transcript.Verb) -> None:
        if event.verb == "write":
            self.go_to(self.composer)
            self.transcript.select("")
        else:
            self.run_command(event.verb)

    def on_transcript_top(self) -> None:
        self.attempt(self._show_earlier())

    async def _show_earlier(self) -> None:
        """Older messages: those that are known, else those that the engine has."""
        if await self.transcript.earlier() or not self.link.open:
            return
        await self.link.read_older(self.state.chat)
        await self.transcript.earlier()

    # --- what the composer asks -------------------------------------------------------------

    async def earlier_prompts(self) -> list[str]:
        return await self.history.prompts()

    def complete_slash(self, text: str) -> list[slash.Completion]:
        return slash.complete(text, self.state.engine)


def _preload() -> None:
    importlib.import_module("tui.widgets.answer")
