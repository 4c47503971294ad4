"""The models screen (F2): every model that was found, what it is, what it needs, and whether it fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets import Input, Static

from tui.actions import Moment, Where
from tui.bindings import bindings
from tui.dirty import What
from tui.fit import pool, unused_gpu
from tui.format import gib, plural
from tui.screens.layer import Layer
from tui.widgets.lines import line, name, stack
from tui.widgets.model_detail import ModelDetail, how_to_get_one
from tui.widgets.model_table import ModelTable
from tui.widgets.title import Title

if TYPE_CHECKING:
    from tui.screens.chat import Workbench

_SHOWN = {What.ENGINE, What.MODELS, What.ADAPTERS, What.MONITOR}
DETAIL = 11
"""Lines of the detail pane where there is room."""


class Models(Layer):
    """A table over a detail pane; the letters work while the filter is not being typed."""

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
        padding: 0 1;
        background: $surface;
    }
    Models .filter.-shown {
        display: block;
    }
    Models .filter Static {
        width: 2;
        color: $accent;
    }
    Models Input {
        border: none;
        height: 1;
        padding: 0;
        background: $surface;
        background-tint: $foreground 0%;
    }
    Models Input:focus {
        border: none;
        background-tint: $foreground 0%;
    }
    Models .empty {
        display: none;
        height: 1fr;
        padding: 1 1;
    }
    Models.-empty .empty {
        display: block;
    }
    Models.-empty ModelTable, Models.-empty ModelDetail, Models.-low ModelDetail {
        display: none;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.BROWSER)
    place = Where.BROWSER
    desk: Workbench

    def __init__(self, desk: Workbench) -> None:
        super().__init__(desk)
        self.heading = Title("Models")
        self.trouble = Static("", classes="trouble", markup=False)
        self.filter = Input(placeholder="name, family, id, loaded or untested", select_on_focus=False)
        self.table = ModelTable(self.state)
        self.detail = ModelDetail(self.state)
        self.empty = Static("", classes="empty", markup=False)

    def compose(self) -> ComposeResult:
        yield self.heading
        yield self.trouble
        with Horizontal(classes="filter"):
            yield Static("/", markup=False)
            yield self.filter
        yield self.table
        yield self.empty
        yield self.detail
        yield self.hints

    def on_mount(self) -> None:
        self.table.focus()
        self._draw()

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.height < 16, "-low")
        self.detail.styles.height = max(6, min(DETAIL, event.size.height - 16))
        self.call_after_refresh(self._draw)

    def moment(self) -> Moment:
        """What the key hints are for: the list, or the filter while it is typed."""
        return Moment.FILTERING if self.is_mounted and self.focused is self.filter else Moment.BROWSER

    def redraw(self, kinds: set[What]) -> None:
        """Models load, come and go; memory is taken and freed while one looks."""
        if kinds & _SHOWN:
            self._draw()

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        engine = self.state.engine
        self.set_class(not engine.models, "-empty")
        self.table.reread()
        self.heading.say(self._summary())
        words = self._trouble()
        self.trouble.update(words)
        self.trouble.set_class(bool(words), "-shown")
        if not engine.models:
            looking = engine.link == "connecting"
            first = "Looking for models …" if looking else "No models were found on this machine."
            self.empty.update(stack([line(first), line(""), *how_to_get_one(self.size.width - 2)]))

    def _summary(self) -> str:
        table, here = self.table, pool(self.state.engine)
        count = plural(len(self.state.engine.models), "model")
        parts = [f"{len(table.rows)} of {count}" if table.words else count, f"by {table.sorted_by}"]
        if here is not None:
            parts.append(f"{gib(here.free)} of {gib(here.total)} G {here.name} free")
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
        self.detail.show(self.table.row)

    def on_model_table_taken(self) -> None:
        self.action_model_use()

    def on_input_changed(self, event: Input.Changed) -> None:
        self.table.words = event.value
        self._draw()

    def on_input_submitted(self) -> None:
        self.table.focus()
        self._show_filter(bool(self.filter.value))

    def on_descendant_focus(self) -> None:
        self.hints.show_moment(self.moment())

    # --- verbs ------------------------------------------------------------------------------

    def action_leave_layer(self) -> None:
        """One layer at a time: the filter, the load under the cursor, the screen."""
        row = self.table.row
        if self.focused is self.filter or self.filter.value:
            self.filter.value = ""
            self._show_filter(False)
            self.table.focus()
        elif row is not None and row.model.state == "loading":
            self.desk.unload(row.model.id)
        else:
            self.dismiss(None)

    def action_layer_models(self) -> None:
        """F2 goes back by the way it came."""
        self.dismiss(None)

    def action_model_use(self) -> None:
        row = self.table.row
        if row is None:
            return
        model = row.model
        self.desk.use_model(model.id)
        if model.state == "ready":
            self.dismiss(None)
        elif model.support != "unsupported":
            self.say(f"{name(model.name)} answers in the chat as soon as it is loaded. Esc cancels the load.")

    def action_model_unload(self) -> None:
        if self.table.row is not None:
            self.desk.unload(self.table.row.model.id)

    def action_model_filter(self) -> None:
        self._show_filter(True)
        self.filter.focus()

    def _show_filter(self, shown: bool) -> None:
        self.query_one(".filter").set_class(shown, "-shown")

    def action_model_sort(self) -> None:
        self.table.next_sort()
        self._draw()

    def action_model_turn(self) -> None:
        self.table.turn()
        self._draw()

    def action_model_folder(self) -> None:
        from tui.modals.folder import FolderDialog

        def given(path: str | None) -> None:
            if path:
                self.desk.action_add_folder(path)

        self.app.push_screen(FolderDialog(), given)

    def action_model_look(self) -> None:
        self.say("Looking …", for_seconds=30)
        self.desk.action_refresh_models()

    def action_model_up(self) -> None:
        self.table.move(-1)

    def action_model_down(self) -> None:
        self.table.move(1)

    def action_model_first(self) -> None:
        self.table.move(-len(self.table.rows))

    def action_model_last(self) -> None:
        self.table.move(len(self.table.rows))

    def action_model_page_up(self) -> None:
        self.table.move(-self.table.page)

    def action_model_page_down(self) -> None:
        self.table.move(self.table.page)

    def action_model_help(self) -> None:
        self.action_layer_help()
