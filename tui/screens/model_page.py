"""One model on a whole screen: everything known of it, and its card on the hub when that is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from engine.api import ErrorInfo, commands
from tui.actions import Moment, Where
from tui.bindings import bindings
from tui.dirty import What
from tui.format import plural, shorten, size
from tui.model_rows import Row
from tui.screens.layer import Layer
from tui.widgets.lines import line, name, stack
from tui.widgets.model_detail import told
from tui.widgets.title import Title

if TYPE_CHECKING:
    from tui.screens.models import Models

WHOLE = 92
"""Columns of text at most: longer lines are hard to read."""
FILES = 12
"""Files that are listed by name."""


class ModelPage(Layer):
    """Scrolls; the keys of the browser that change the form work here too."""

    DEFAULT_CSS = """
    ModelPage VerticalScroll {
        height: 1fr;
        padding: 0 1;
        scrollbar-size-vertical: 1;
    }
    ModelPage .facts, ModelPage .card {
        height: auto;
        max-width: 92;
    }
    ModelPage .hint {
        height: auto;
        margin: 1 0;
        color: $thought;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.MODEL_PAGE)
    place = Where.MODEL_PAGE

    def __init__(self, browser: Models, row: Row) -> None:
        super().__init__(browser.desk)
        self._browser, self._row = browser, row
        self.facts = Static("", classes="facts", markup=False)
        self.hint = Static("", classes="hint", markup=False)

    def compose(self) -> ComposeResult:
        yield Title(shorten(name(self._row.name), 60))
        with VerticalScroll():
            yield self.facts
            yield self.hint
        yield self.hints

    def moment(self) -> Moment:
        return Moment.MODEL_PAGE

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()
        self._draw()
        where = self._row.model.source if self._row.model else "hub"
        self.hint.update("c reads its card on the hub" if where == "hub" else "")

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    def redraw(self, kinds: set[What]) -> None:
        if kinds & {What.MODELS, What.MONITOR, What.DOWNLOADS, What.ENGINE}:
            self._draw()

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        self._row = self._browser.table.row or self._row
        width = max(20, min(WHOLE, self.app.size.width - 4))
        self.facts.update(stack(told(self._row, self.state, self._browser.rules, width, choices=True)))

    # --- verbs ------------------------------------------------------------------------------

    def action_card_read(self) -> None:
        self.hint.update("Asking the hub …")
        self.desk.ask(commands.ShowHubModel(id=self._row.id), self._took_card, failed=self._no_card)

    def _took_card(self, model: commands.HubModel) -> None:
        if self.is_attached:
            self.run_worker(self._show_card(model))

    async def _show_card(self, model: commands.HubModel) -> None:
        """The card is a stranger's text: its links are shown and never opened."""
        from tui.widgets.answer import Answer

        self.hint.update(stack(file_lines(model)))
        await self.query(".card").remove()
        card = Answer()
        card.add_class("card")
        await self.query_one(VerticalScroll).mount(card)
        text = _body(model.card) or "It has no card."
        await card.show(text + ("\n\n…" if model.card_cut else ""), final=True)

    def _no_card(self, info: ErrorInfo) -> None:
        self.hint.update(line((name(info.sentence()), "$warning")))

    def action_card_use(self) -> None:
        self.dismiss(None)
        self._browser.action_model_use()

    def action_card_download(self) -> None:
        self._browser.action_model_download()

    def action_card_quant(self) -> None:
        self._browser.action_model_quant()
        self._draw()

    def action_card_more_context(self) -> None:
        self._browser.action_model_more_context()
        self._draw()

    def action_card_less_context(self) -> None:
        self._browser.action_model_less_context()
        self._draw()

    def action_card_up(self) -> None:
        self.query_one(VerticalScroll).scroll_up(animate=False)

    def action_card_down(self) -> None:
        self.query_one(VerticalScroll).scroll_down(animate=False)

    def action_card_close(self) -> None:
        self.dismiss(None)


def file_lines(model: commands.HubModel) -> list[Content]:
    """What a download would take, file by file."""
    shown = [file for file in model.files if file.needed or file.name in model.choices]
    made = [line((f"{plural(len(shown), 'file')}, {size(model.total)}", "$thought"))] if shown else []
    for file in shown[:FILES]:
        mark = ("● ", "$accent") if file.here >= file.size else ("↓ ", "$thought")
        made.append(line(mark, (f"{size(file.size):>7}  ", "$foreground"), (name(file.name), "$foreground")))
    more = len(shown) - FILES
    return [*made, line((f"and {more} more", "$thought"))] if more > 0 else made


def _body(card: str) -> str:
    """The card without its YAML head, which the facts above tell."""
    if not card.startswith("---"):
        return card
    head, _, body = card[3:].partition("\n---")
    return body.partition("\n")[2] if body else head
