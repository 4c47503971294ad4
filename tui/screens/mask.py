"""The mask preview: row by row, which tokens a run learns from."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from msgspec.structs import replace
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.widgets import Static

from engine.api import ErrorInfo, commands, runs
from tui.actions import Moment, Where
from tui.bindings import bindings
from tui.format import percent, plural
from tui.screens.layer import Layer
from tui.text import clean
from tui.widgets.lines import Piece, line, name
from tui.widgets.mask_text import MaskText
from tui.widgets.title import Title

if TYPE_CHECKING:
    from tui.screens.run_verbs import RunVerbs


class Mask(Layer):
    """Asks for one row at a time."""

    DEFAULT_CSS = """
    Mask .about {
        height: auto;
        max-height: 3;
        padding: 0 2;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.MASK)
    place = Where.MASK

    def __init__(self, desk: RunVerbs, spec: runs.TrainSpec) -> None:
        super().__init__(desk)
        self._ask = commands.PreviewRow(spec=spec)
        self.shown: commands.MaskPreview | None = None
        self.text = MaskText()
        self._about = Static("Rendering …", classes="about", markup=False)

    def compose(self) -> ComposeResult:
        yield Title("Mask preview", name(self._ask.spec.data))
        yield self._about
        yield self.text
        yield self.hints

    def moment(self) -> Moment:
        return Moment.MASK

    def on_mount(self) -> None:
        self.text.focus()
        self._read(self._ask)

    # --- what is shown ----------------------------------------------------------------------

    def _read(self, command: commands.PreviewRow) -> None:
        self._ask = command
        self.desk.ask(
            command,
            lambda preview: self._take(command, preview),
            failed=lambda info: self._failed(command, info),
        )

    def _take(self, command: commands.PreviewRow, preview: commands.MaskPreview) -> None:
        if self.is_attached and command == self._ask:
            self.shown = preview
            self._about.update(about(preview))
            self.text.show(preview.tokens)

    def _failed(self, command: commands.PreviewRow, info: ErrorInfo) -> None:
        if self.is_attached and command == self._ask:
            self._about.update(line((clean(info.sentence()), "$warning")))

    # --- verbs ------------------------------------------------------------------------------

    def _show_row(self, row: int) -> None:
        """A row, as near as there is one."""
        rows = self.shown.rows if self.shown else 1
        row = min(max(1, row), rows)
        if row != self._ask.row:
            self._read(replace(self._ask, row=row, answer=1, side=""))
        elif rows > 1:
            self.say("That is the first row." if row == 1 else "That is the last row.", for_seconds=2)

    def action_mask_next(self) -> None:
        self._show_row(self._ask.row + 1)

    def action_mask_before(self) -> None:
        self._show_row(self._ask.row - 1)

    def action_mask_first(self) -> None:
        self._show_row(1)

    def action_mask_last(self) -> None:
        self._show_row(self.shown.rows if self.shown else 1)

    def action_mask_go(self) -> None:
        from tui.modals.row_number import RowNumber

        if self.shown is not None:
            self.app.push_screen(RowNumber(self.shown.rows), lambda row: self._show_row(row) if row else None)

    def action_mask_answer(self) -> None:
        """The next answer of the row; of a preference, the other side."""
        shown = self.shown
        if shown is None:
            return
        if shown.side:
            self._read(replace(self._ask, side="rejected" if shown.side == "chosen" else "chosen"))
        elif shown.answers > 1:
            self._read(replace(self._ask, answer=shown.answer % shown.answers + 1))
        else:
            self.say("This row has one answer.", for_seconds=2)

    def action_mask_down(self) -> None:
        self.text.scroll_lines(1)

    def action_mask_up(self) -> None:
        self.text.scroll_lines(-1)

    def action_mask_page_down(self) -> None:
        self.text.scroll_lines(max(1, self.text.size.height - 2))

    def action_mask_page_up(self) -> None:
        self.text.scroll_lines(-max(1, self.text.size.height - 2))

    def action_layer_train(self) -> None:
        self.dismiss(None)


def about(preview: commands.MaskPreview) -> Content:
    """`row 17 of 1,204 · 418 tokens · 171 labelled (41 %) · stop token trained: yes · nothing cut`."""
    share = f" ({percent(preview.labelled / preview.total)})" if preview.total else ""
    pieces: list[Piece] = [(f"row {preview.row:,} of {preview.rows:,}", "bold")]
    if preview.side:
        pieces.append((f" · the {preview.side} answer", "$accent"))
    elif preview.answers > 1:
        pieces.append((f" · answer {preview.answer} of {preview.answers}", "$accent"))
    if preview.good is not None:
        pieces.append((" · marked good" if preview.good else " · marked bad", "$accent"))
    learnt = "" if preview.labelled else "$warning"
    stop = "" if preview.stop_trained else "$warning"
    pieces += [
        f" · {plural(preview.total, 'token')}",
        (f" · {preview.labelled:,} labelled{share}", learnt),
        (f" · stop token trained: {'yes' if preview.stop_trained else 'no'}", stop),
        (f" · {preview.cut:,} too many: left out", "$warning") if preview.cut else " · nothing cut",
    ]
    if preview.total > len(preview.tokens):
        pieces.append((f" · the first {len(preview.tokens):,} shown", "$thought"))
    if preview.why:
        pieces.append((f"\n{clean(preview.why)}", "$warning"))
    return line(*pieces)
