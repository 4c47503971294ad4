"""The browser's list: sections of models; paints the lines in sight, keeps its cursor on a model."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.content import Content
from textual.message import Message

from tui.fit import DTYPES, SIGNS
from tui.format import percent, shorten, size
from tui.glyphs import bar
from tui.model_rows import Door, Heading, Item, Row
from tui.server_rows import ServerLine, summary
from tui.server_rows import sign as server_sign
from tui.state import State
from tui.widgets.lines import Piece, line, name, spread
from tui.widgets.painted import Painted

STATES = {"ready": ("●", "$accent"), "loading": ("◌", "$accent"), "available": ("○", "$thought")}
FITS = {"no": "$warning", "alone": "$warning", "tight": "$warning", "held": "$accent", "fits": "$foreground"}
GAP = 2
AHEAD = 2
"""Lines that stay in sight above and below the cursor."""
LEAST = 18
"""Cells of the name's column at least."""


@dataclass(frozen=True)
class Column:
    """One column beside the name; those with the smallest number leave first where it is narrow."""

    title: str
    width: int
    keep: int
    right: bool = True


COLUMNS = (
    Column("from", 10, 1, right=False),
    Column("as", 6, 2, right=False),
    Column("size", 6, 4),
    Column("tok/s", 6, 3),
    Column("fits?", 8, 5, right=False),
)


class ModelTable(Painted, can_focus=True):
    """Headings, rows, and doors to more; the cursor skips the headings."""

    DEFAULT_CSS = """
    ModelTable {
        height: 1fr;
        background: $background;
    }
    """

    class Moved(Message):
        """The cursor stands on another line, or what it stands on changed."""

    class Taken(Message):
        """A second click on the line of the cursor."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self._state = state
        self._first = 0
        self.cursor = f"here:{state.model_id()}"
        """Key of the line under the cursor."""
        self.items: list[Item] = []

    @property
    def line_here(self) -> Row | Door | ServerLine | None:
        """The line under the cursor."""
        places = self._places()
        found = self.items[places[self._at(places)]] if places else None
        return None if isinstance(found, Heading) else found

    @property
    def row(self) -> Row | None:
        """The model under the cursor."""
        here = self.line_here
        return here if isinstance(here, Row) else None

    @property
    def page(self) -> int:
        """Lines that are in sight at once."""
        return max(1, self.size.height - 1)

    def take(self, items: list[Item]) -> None:
        """Show these lines, and paint what changed."""
        self.items = items
        self.redraw()
        self.post_message(self.Moved())

    def move(self, by: int) -> None:
        """The cursor so many lines down."""
        places = self._places()
        if places:
            self._go(places[min(len(places) - 1, max(0, self._at(places) + by))])

    def next_section(self, by: int = 1) -> None:
        """The cursor to the first line of the next section that has one."""
        starts = [at + 1 for at, item in enumerate(self.items[:-1]) if isinstance(item, Heading)]
        starts = [at for at in starts if not isinstance(self.items[at], Heading)]
        if not starts:
            return
        places = self._places()
        here = places[self._at(places)]
        at = max((number for number, start in enumerate(starts) if start <= here), default=0)
        self._go(starts[(at + by) % len(starts)])

    def lines(self, width: int, height: int) -> list[Content]:
        """The stretch of lines around the cursor, with a gap over each heading but the first."""
        columns = columns_for(width)
        shown = self._spaced()
        places = self._places()
        here = self.items[places[self._at(places)]] if places else None
        at = next((number for number, item in enumerate(shown) if item is here), 0)
        room = max(1, height)
        first = min(self._first, max(0, len(shown) - room))
        ahead = min(AHEAD, room // 3, len(shown) - 1 - at)
        self._first = max(0, min(max(first, at - room + 1 + ahead), at - min(AHEAD, room // 3)))
        painted = []
        for item in shown[self._first : self._first + room]:
            content = self._paint(item, columns, width)
            if item is here and item is not None:
                ground = "block-cursor" if self.has_focus else "block-cursor-blurred"
                content = content.pad_right(max(0, width - content.cell_length))
                content = content.stylize(f"${ground}-foreground on ${ground}-background")
            painted.append(content)
        return painted

    def on_focus(self) -> None:
        self.redraw()

    def on_blur(self) -> None:
        self.redraw()

    def on_resize(self) -> None:
        self.redraw()

    def on_mouse_scroll_down(self) -> None:
        self.move(1)

    def on_mouse_scroll_up(self) -> None:
        self.move(-1)

    def on_click(self, event: events.Click) -> None:
        shown = self._spaced()
        at = self._first + event.y
        item = shown[at] if 0 <= at < len(shown) else None
        if item is None or isinstance(item, Heading):
            return
        if item is self.line_here and event.chain > 1:
            self.post_message(self.Taken())
        else:
            self.cursor = item.key
            self.redraw()
            self.post_message(self.Moved())

    def _go(self, place: int) -> None:
        item = self.items[place]
        if not isinstance(item, Heading):
            self.cursor = item.key
        self.redraw()
        self.post_message(self.Moved())

    def _places(self) -> list[int]:
        """Places of the lines that the cursor can stand on."""
        return [at for at, item in enumerate(self.items) if not isinstance(item, Heading)]

    def _at(self, places: list[int]) -> int:
        """Which of them the cursor stands on: a model that moved to another section is followed."""
        named = self.cursor.partition(":")[2]
        same = 0
        for number, place in enumerate(places):
            item = self.items[place]
            if not isinstance(item, Heading) and item.key == self.cursor:
                return number
            if isinstance(item, Row) and named and item.id == named:
                same = number
        return same

    def _spaced(self) -> list[Item | None]:
        spaced: list[Item | None] = []
        for item in self.items:
            if isinstance(item, Heading) and spaced:
                spaced.append(None)
            spaced.append(item)
        return spaced

    # --- one line ---------------------------------------------------------------------------

    def _paint(self, item: Item | None, columns: list[Column], width: int) -> Content:
        if item is None:
            return line("")
        room = width - 4 - sum(column.width + GAP for column in columns)
        if isinstance(item, Heading):
            return _heading(item, columns, room)
        if isinstance(item, ServerLine):
            return _server(item, columns, width)
        if isinstance(item, Door):
            return line("   ", (name(item.words), "$foreground"), "  ", (item.hint, "$accent")).truncate(
                width, ellipsis=True
            )
        return self._row(item, columns, room)

    def _row(self, row: Row, columns: list[Column], room: int) -> Content:
        lost = row.verdict in ("never", "down")
        right = line("")
        done = going(row)
        if done is not None:
            words = f"{bar(done, 5)} {percent(done)}" if room >= 22 else ""
            right = line((words or percent(done), "$accent"))
        used = row.section == "here" and row.id == self._state.model_id()
        style = "$thought" if lost else "bold" if used else "$foreground"
        left = line((shorten(name(row.name), max(1, room - right.cell_length - 1)), style))
        content = line(" ", _mark(row), " ") + spread(left, right, room)
        for column in columns:
            text, paint = _cell(column.title, row)
            text = shorten(name(text), column.width)
            text = text.rjust(column.width) if column.right else text.ljust(column.width)
            content += line(" " * GAP, (text, "$thought" if lost else paint))
        return content


def columns_for(width: int) -> list[Column]:
    """The columns that fit beside a name of at least LEAST cells, in their order."""
    room = width - LEAST - 4
    kept: set[str] = set()
    for column in sorted(COLUMNS, key=lambda column: -column.keep):
        room -= column.width + GAP
        if room < 0:
            break
        kept.add(column.title)
    return [column for column in COLUMNS if column.title in kept]


def going(row: Row) -> float | None:
    """How far its load or download is, 0 to 1; None where neither goes on."""
    if row.model is not None and row.model.state == "loading":
        return row.model.progress
    if row.download is not None and row.download.live:
        return row.download.done / row.download.total if row.download.total else 0.0
    return None


def _heading(item: Heading, columns: list[Column], room: int) -> Content:
    """`HERE  3 models                 from   as   size   tok/s   fits`."""
    words: list[Piece] = [(f" {item.title}", "bold $accent"), (f"  {name(item.words)}", "$thought")]
    content = line(*words).truncate(room + 3, ellipsis=True)
    content = content.pad_right(room + 3 - content.cell_length)
    for column in columns:
        title = (item.third or "from") if column.title == "from" else column.title
        title = title.rjust(column.width) if column.right else title.ljust(column.width)
        content += line(" " * GAP, (title, "$thought"))
    return content


def _server(item: ServerLine, columns: list[Column], width: int) -> Content:
    """` box  vLLM 0.9.1 · 3 models · http://box:8000/v1      ✓ there`."""
    info = item.info
    grave = info.reachable is False
    left = line(" ", (name(info.name), "bold"), "  ", (name(summary(info)), "$thought"))
    if info.warning:
        left = left.append(line("  ", ("! open", "$warning")))
    room = width - 1 - (columns[-1].width + GAP if columns else 0)
    left = left.truncate(max(1, room), ellipsis=True)
    if not columns:
        return left
    right = line(" " * GAP, (server_sign(info), "$warning" if grave else "$thought"))
    return left.pad_right(room - left.cell_length) + right


def _mark(row: Row) -> tuple[str, str]:
    """The state as one glyph: loaded, loading, on this disk, to be fetched, on a server, unusable."""
    if row.verdict == "never":
        return "–", "$thought"
    if row.download is not None and row.download.live:
        return "↓", "$accent"
    if row.model is None:
        return "↓", "$thought"
    if row.model.runs_on == "server":
        return "◇", "$accent" if row.model.state == "ready" else "$thought"
    return STATES[row.model.state]


def _cell(title: str, row: Row) -> tuple[str, str]:
    found = row.forecast
    match title:
        case "from":
            return _from(row), "$thought"
        case "as":
            kind = found.kind if found is not None else row.model.quant if row.model is not None else ""
            return DTYPES.get(kind, kind), "$thought"
        case "size":
            return size(row.size) if row.size else "–", "$foreground 85%"
        case "tok/s":
            quick = row.speed or (found.tokens_per_s if found is not None else 0.0)
            if not quick:
                return "–", "$thought"
            number = f"{quick:.0f}" if quick >= 10 else f"{quick:.1f}"
            return (number, "$foreground") if row.speed else (f"≤{number}", "$thought")
        case _:
            return sign(row), FITS.get(row.verdict, "$thought")


def _from(row: Row) -> str:
    """Where it was found; of the catalogue what it is good at; of the hub who keeps it."""
    if row.section == "catalogue" and row.entry is not None:
        special = [use for use in row.entry.use if use not in ("chat", "small")]
        return " ".join(special) or "chat"
    return row.id.partition("/")[0] if row.section == "hub" else row.origin


def sign(row: Row) -> str:
    """The verdict as a sign and a word: readable without colour."""
    words = {"held": "● loaded", "never": "– no", "server": "◇ there", "down": "✗ silent"}
    return words.get(row.verdict) or SIGNS.get(row.verdict, "–")
