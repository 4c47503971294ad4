"""The model browser (F2): what is here, what would fit, what the hub has; and all about one of them.

As drawn in docs/screens.md. Below 100 columns the details lie under the list, where it is low behind Space.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Horizontal, Vertical
from textual.widgets import Input, Static

from tui.actions import Moment, Where
from tui.bindings import bindings
from tui.dirty import What
from tui.fit import unused_gpu
from tui.format import gib, plural
from tui.model_rows import SORTS, Door, Section
from tui.screens.models_here import BrowserHere
from tui.screens.models_hub import BrowserHub
from tui.screens.models_moves import FILTER, BrowserMoves
from tui.screens.models_servers import BrowserServers
from tui.server_rows import ServerLine
from tui.widgets.lines import line, name, stack
from tui.widgets.model_detail import ModelDetail, how_to_get_one
from tui.widgets.model_table import ModelTable
from tui.widgets.title import Title

if TYPE_CHECKING:
    from tui.screens.chat import Workbench

_SHOWN = {What.ENGINE, What.MODELS, What.ADAPTERS, What.MONITOR, What.DOWNLOADS}
MOMENTS: dict[Section, Moment] = {
    "here": Moment.BROWSER,
    "catalogue": Moment.CATALOGUE,
    "hub": Moment.HUB,
}
WIDE, LOW = 100, 16
"""Columns from which the details stand beside the list; lines below which there is no room for them."""


class Models(BrowserHub, BrowserHere, BrowserServers, BrowserMoves):
    """The letters are commands while the line on top is not being typed."""

    DEFAULT_CSS = """
    Models .trouble {
        display: none;
        height: auto;
        padding: 0 1;
        color: $warning;
    }
    Models .trouble.-shown {
        display: block;
    }
    Models .filter {
        display: none;
        height: 1;
        margin: 0 0 1 0;
        padding: 0 1;
    }
    Models .filter.-shown {
        display: block;
    }
    Models.-low .filter {
        margin: 0;
    }
    Models .filter Static {
        width: auto;
        padding: 0 1 0 0;
        color: $accent;
    }
    Models Input {
        border: none;
        height: 1;
        padding: 0;
        background: $background;
        background-tint: $foreground 0%;
    }
    Models Input:focus {
        border: none;
        background-tint: $foreground 0%;
    }
    Models .panes {
        layout: vertical;
        height: 1fr;
    }
    Models .list {
        height: 1fr;
    }
    Models.-wide .panes {
        layout: horizontal;
    }
    Models.-wide .list {
        width: 3fr;
    }
    Models ModelDetail {
        height: 11;
        width: 1fr;
    }
    Models.-wide ModelDetail {
        height: 1fr;
        width: 2fr;
        border-left: solid $rule;
    }
    Models.-low ModelDetail {
        display: none;
    }
    Models .empty {
        display: none;
        height: auto;
        padding: 1 1 0 1;
    }
    Models.-empty .empty {
        display: block;
    }
    """
    AUTO_FOCUS: ClassVar[str | None] = ""
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.BROWSER)
    place = Where.BROWSER

    def __init__(self, desk: Workbench) -> None:
        super().__init__(desk)
        self.heading = Title("Models")
        self.trouble = Static("", classes="trouble", markup=False)
        self.filter = Input(placeholder=FILTER, select_on_focus=False)
        self.sign = Static("/", markup=False)
        self.table = ModelTable(self.state)
        self.detail = ModelDetail(self.state)
        self.empty = Static("", classes="empty", markup=False)
        if self.state.recommended and self.state.model_id() == "demo":
            self.table.cursor = f"catalogue:{self.state.recommended}"

    def compose(self) -> ComposeResult:
        yield self.heading
        yield self.trouble
        with Container(classes="panes"):
            with Vertical(classes="list"):
                with Horizontal(classes="filter"):
                    yield self.sign
                    yield self.filter
                yield self.empty
                yield self.table
            yield self.detail
        yield self.hints

    def on_mount(self) -> None:
        self._fit()
        self.table.focus()
        self.draw()
        self.rank_soon()
        self.read_servers()
        self.read_health()

    def on_resize(self, event: events.Resize) -> None:
        self._fit()
        self.call_after_refresh(self.draw)

    def _fit(self) -> None:
        width, height = self.app.size
        self.set_class(width >= WIDE, "-wide")
        self.set_class(height < LOW, "-low")
        self.detail.rule = width < WIDE
        self.detail.styles.height = "1fr" if width >= WIDE else max(8, height // 2 - 1)
        self.show_line()

    def show_line(self) -> None:
        held = self.focused is self.filter or bool(self.filter.value) or self.asking
        self.sign.update("hub ›" if self.asking else "/")
        self.query_one(".filter").set_class(held or self.app.size.height >= 30, "-shown")

    def moment(self) -> Moment:
        """What the key hints are for: the list, or the line while it is typed."""
        if not self.is_mounted or self.focused is not self.filter:
            return self.server_moment() or MOMENTS[self.section()]
        return Moment.FILTERING

    def redraw(self, kinds: set[What]) -> None:
        """Models load, come and go; memory is taken and freed while one looks."""
        if kinds & _SHOWN:
            self.draw()
            self.rank_soon()

    def draw(self) -> None:
        if not self.is_mounted:
            return
        engine = self.state.engine
        self.set_class(not engine.models, "-empty")
        self.reread()
        self.look_closer()
        self.heading.say(self._summary())
        words = self._trouble()
        self.trouble.update(words)
        self.trouble.set_class(bool(words), "-shown")
        if not engine.models:
            looking = engine.link == "connecting"
            first = "Looking for models …" if looking else "No models were found on this machine."
            self.empty.update(stack([line(first), *how_to_get_one(self.size.width - 2)]))

    def _summary(self) -> str:
        facts = self.rules.facts
        parts = []
        if self.known.sort != SORTS[0] or self.known.turned:
            way = "↑" if (self.known.sort == SORTS[0]) != self.known.turned else "↓"
            parts.append(f"by {self.known.sort} {way}")
        going = sum(download.live for download in self.state.engine.downloads.values())
        if going:
            parts.append(plural(going, "download"))
        if facts is not None:
            parts.append(f"{gib(facts.free)} of {gib(facts.total)} G {facts.pool} free")
        return " · ".join(parts)

    def _trouble(self) -> str:
        """What stands between the person and a load: no engine, or a GPU that torch cannot use."""
        engine = self.state.engine
        if engine.link == "lost":
            return f"! {name(engine.trouble)}"
        gpu = unused_gpu(engine)
        return f"! {name(gpu.name)} is not used. {name(gpu.why)}: {name(gpu.remedy)}" if gpu else ""

    # --- what the widgets say ---------------------------------------------------------------

    def on_model_table_moved(self) -> None:
        self.look_closer()
        self.hints.show_moment(self.moment())

    def on_model_table_taken(self) -> None:
        self.action_model_use()

    # --- verbs ------------------------------------------------------------------------------

    def action_model_use(self) -> None:
        here = self.table.line_here
        if isinstance(here, Door):
            self.enter_door(here)
        elif isinstance(here, ServerLine):
            self.check_server(here.info)
        elif here is not None and here.model is not None:
            self.use_here(here)
        elif here is not None:
            self.fetch(here, chat=True)

    def open_hub(self) -> None:
        self.open_line(asking=True)

    def action_model_open(self) -> None:
        row = self.table.row
        if row is not None:
            from tui.screens.model_page import ModelPage

            self.app.push_screen(ModelPage(self, row))

    def action_leave_layer(self) -> None:
        """One layer at a time: the line on top, the load under the cursor, the screen."""
        row = self.table.row
        if self.focused is self.filter or self.filter.value:
            if self.asking:
                self.stop_asking()
            self.filter.value = ""
            self.table.focus()
            self.show_line()
            self.draw()
        elif row is not None and row.model is not None and row.model.state == "loading":
            self.desk.unload(row.model.id)
        else:
            self.dismiss(None)

    def action_model_delete(self) -> None:
        here = self.table.line_here
        if isinstance(here, ServerLine):
            self.remove_server(here.info)
        else:
            self.delete_here()

    def action_model_look(self) -> None:
        self.look_again()
        self.read_servers()

    def action_layer_models(self) -> None:
        """F2 goes back by the way it came."""
        self.dismiss(None)
