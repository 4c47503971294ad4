"""Memory (F5): where every byte is, and memory, speed and loss over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from engine.api import commands, runs
from tui.actions import Moment, Where
from tui.bindings import bindings
from tui.dirty import What
from tui.format import gib
from tui.memory_points import main_pool, room_of
from tui.memory_view import MemoryView, Record, Track, in_its_time, newer_marks, record_of, track_of
from tui.memory_words import place_words
from tui.screens.memory_moves import MemoryMoves
from tui.widgets.lines import name
from tui.widgets.memory_chart import MemoryChart
from tui.widgets.memory_facts import MemoryFacts
from tui.widgets.title import Title

if TYPE_CHECKING:
    from tui.screens.memory_verbs import MemoryVerbs

_SHOWN = {What.MONITOR, What.ENGINE, What.MODELS, What.RUN_END}


class Memory(MemoryMoves):
    """Reads a record once, and appends what is measured since."""

    DEFAULT_CSS = """
    Memory .both {
        height: 1fr;
        layout: horizontal;
    }
    Memory MemoryChart {
        border-left: solid $rule;
    }
    Memory.-narrow .both {
        layout: vertical;
    }
    Memory.-narrow MemoryFacts {
        width: 1fr;
    }
    Memory.-narrow MemoryChart {
        border-left: none;
        height: 45%;
        min-height: 12;
    }
    Memory.-tiny MemoryChart {
        display: none;
    }
    Memory.-full MemoryFacts {
        display: none;
    }
    Memory.-full MemoryChart {
        display: block;
        height: 1fr;
        border-left: none;
    }
    """
    AUTO_FOCUS: ClassVar[str | None] = ""
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.MEMORY)
    place = Where.MEMORY

    def __init__(self, desk: MemoryVerbs, run: str = "") -> None:
        super().__init__(desk)
        self.shown = run
        self._linked = self.state.engine.link == "open"
        self.view = MemoryView()
        self.head = Title("Memory")
        self.facts = MemoryFacts(self.state, self.view)
        self.chart = MemoryChart(self.view)

    def compose(self) -> ComposeResult:
        yield self.head
        with Horizontal(classes="both"):
            yield self.facts
            yield self.chart
        yield self.hints

    def moment(self) -> Moment:
        return Moment.MEMORY

    def on_mount(self) -> None:
        self._fit()
        self.read(self.shown)
        self.draw()
        self.call_after_refresh(self.draw)

    def on_unmount(self) -> None:
        self.state.engine.drawn.pop(self.place.name, None)

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        width, height = self.app.size
        self.set_class(width < 100, "-narrow")
        self.set_class(height < 16, "-tiny")

    def redraw(self, kinds: set[What]) -> None:
        if not kinds & _SHOWN or not self.is_mounted:
            return
        linked, self._linked = self._linked, self.state.engine.link == "open"
        if What.RUN_END in kinds or (self._linked and not linked):
            for run in {self.shown, self.over or self.shown}:
                self.read(run)  # its last word, or what went by while the link was lost
        self.draw()

    def draw(self) -> None:
        if not self.is_mounted:
            return
        chosen = [self.shown, *([self.over] if self.over else [])]
        self.state.engine.drawn[self.place.name] = tuple(chosen)
        self.view.tracks = [self._track(run) for run in chosen]
        self.head.say(self._summary())
        self.facts.redraw()
        self.chart.redraw()

    def read(self, run: str) -> None:
        """Ask for a record; an engine that keeps none has at least the run's log."""
        command = commands.ReadMemory(run=run)

        def take(page: commands.MemoryPage) -> None:
            self._records[run] = record_of(page)
            self.draw()

        self.ask(command, take, failed=lambda info: None)
        curve = self.state.engine.curves.get(run)
        if run and (curve is None or not curve.whole):
            self.desk.read_run(run, self.draw)

    def _track(self, run_id: str) -> Track:
        """As it was read, with what was measured since."""
        engine = self.state.engine
        run = engine.runs.get(run_id)
        record = self._records.get(run_id, Record())
        if run is None:
            track = track_of("the engine", "", record, None, engine.memory)
            active = engine.active_run()
            curve = engine.curves.get(active.id) if active is not None else None
            track.marks += newer_marks(curve.marks if curve else (), track.marks, track.pool)
            track.live = True
            return track
        live = in_its_time(run, engine.memory)
        track = track_of(name(run.name), run.id, record, engine.curves.get(run.id), live)
        track.live = run.state not in runs.ENDED_STATES
        return track

    def _summary(self) -> str:
        """Whose memory it is, where models are computed, and how much room there is, as far as there is
        room for the words."""
        run = self.state.engine.runs.get(self.shown)
        parts = [name(run.name)] if run is not None else []
        sample = self.state.engine.monitor
        pool = main_pool(sample) if sample is not None else None
        if pool is not None:
            free = room_of(pool)
            parts += [place_words(pool, 40)] + (
                [f"{gib(free)} G free for models"] if free is not None else []
            )
        elif sample is not None:
            parts.append(f"{gib(sample.ram_available)} G of RAM free")
        while len(parts) > 1 and len(" · ".join(parts)) + 22 > self.app.size.width:
            parts.pop(-2)
        return " · ".join(parts)
