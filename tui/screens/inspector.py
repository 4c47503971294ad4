"""The token inspector: what the model thought likely at each word of a reply, and the way to branch there."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widgets import Static

from engine.api import EngineError, EngineLost, ErrorInfo, commands, specs
from tui.actions import Moment, Where
from tui.bindings import bindings
from tui.format import plural, shorten
from tui.inspection import Walk, uncertain, visible
from tui.screens.layer import Layer
from tui.state import Turn
from tui.widgets.lines import name
from tui.widgets.title import Title
from tui.widgets.token_choices import TokenChoices
from tui.widgets.token_text import TokenText

if TYPE_CHECKING:
    from tui.screens.inspect_verbs import InspectVerbs

FIRST, STEP = 48, 192
"""Tokens of the first page, which should be there soon, and of the others."""
MEANING = "what the model thought likely at each word"
NOT_STORED = "The tokens of this reply were not stored: its text was split anew, so Enter cannot branch."


class Inspector(Layer):
    """Reads the reply's tokens page by page; one can walk over them meanwhile."""

    DEFAULT_CSS = """
    Inspector .about {
        height: auto;
        max-height: 2;
        padding: 0 3;
        color: $thought;
    }
    Inspector .about.-grave {
        color: $warning;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.INSPECTOR)
    place = Where.INSPECTOR
    desk: InspectVerbs

    def __init__(self, desk: InspectVerbs, reply: Turn) -> None:
        super().__init__(desk)
        self.walk = Walk()
        self.reading = True
        self.retokenised = False
        self._reply = reply
        self.head = Title("Token inspector", MEANING)
        self._about = Static("", classes="about", markup=False)
        self.text = TokenText(self.walk)
        self.choices = TokenChoices(self.walk)

    def compose(self) -> ComposeResult:
        yield self.head
        yield self._about
        yield self.text
        yield self.choices
        yield self.hints

    def moment(self) -> Moment:
        return Moment.INSPECTOR

    def on_mount(self) -> None:
        self.text.focus()
        self._fit()
        self._tell()
        self.run_worker(self._read())

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        height = self.app.size.height
        self.choices.styles.height = 9 if height >= 24 else max(3, height // 3)
        self.text.set_class(height < 20, "-low")
        self._about.styles.max_height = 2 if height >= 20 else 1

    # --- reading ----------------------------------------------------------------------------

    async def _read(self) -> None:
        try:
            while self.reading:
                start = len(self.walk.tokens)
                page: commands.Inspection = await self.desk.link.request(
                    commands.InspectReply(
                        chat=self._reply.chat,
                        message=self._reply.id,
                        start=start,
                        limit=STEP if start else FIRST,
                    )
                )
                self._take(page)
        except (EngineError, EngineLost) as error:
            self._failed(error.info)

    def _take(self, page: commands.Inspection) -> None:
        fresh = not self.walk.tokens
        self.walk.tokens.extend(page.tokens)
        self.walk.total = page.total
        self.retokenised = page.retokenised
        self.reading = bool(page.tokens) and len(self.walk.tokens) < page.total
        if fresh:
            self.walk.go(0)
        self._tell()
        self._paint()

    def _failed(self, info: ErrorInfo) -> None:
        """Before there is anything to see, the screen goes again; what has been read stays."""
        self.reading = False
        if self.walk.tokens:
            self.say(info.sentence(), grave=True, for_seconds=10)
            self._tell()
        else:
            self.dismiss(None)
            self.desk.fail(info)

    def _tell(self) -> None:
        """Whose reply it is, how much of it there is, and how to read the marks."""
        self._about.set_class(self.retokenised, "-grave")
        self._about.update(self._words())

    def _words(self) -> str:
        who = name(self.desk.writer(self._reply))
        done, total = len(self.walk.tokens), self.walk.total
        if not done:
            return (
                f"{who} · looking into the reply …  Esc stops" if self.reading else f"{who} · nothing there"
            )
        if self.reading:
            return f"{who} · {done:,} of {plural(total, 'token')} looked into …  Esc stops"
        if self.retokenised:
            return NOT_STORED
        doubts = sum(map(uncertain, self.walk.tokens))
        marks = f"{doubts:,} uncertain: underlined; the less likely, the stronger"
        return f"{who} · {plural(done, 'token')}, {marks if doubts else 'none uncertain'}"

    def _paint(self) -> None:
        self.text.redraw()
        self.choices.redraw()

    # --- verbs ------------------------------------------------------------------------------

    def action_token_right(self) -> None:
        self._go_to(self.walk.at + 1)

    def action_token_left(self) -> None:
        self._go_to(self.walk.at - 1)

    def action_token_first(self) -> None:
        self._go_to(0)

    def action_token_last(self) -> None:
        self._go_to(len(self.walk.tokens) - 1)

    def action_token_page_down(self) -> None:
        self.text.page(1)
        self._paint()

    def action_token_page_up(self) -> None:
        self.text.page(-1)
        self._paint()

    def action_next_uncertain(self) -> None:
        self._uncertain(1, "after this one")

    def action_previous_uncertain(self) -> None:
        self._uncertain(-1, "before this one")

    def action_least_certain(self) -> None:
        self.walk.least_certain()
        self._paint()

    def action_choice_up(self) -> None:
        self.walk.choose(-1)
        self._paint()

    def action_choice_down(self) -> None:
        self.walk.choose(1)
        self._paint()

    def action_token_help(self) -> None:
        self.action_layer_help()

    def action_branch(self) -> None:
        """A new version of the reply that takes the chosen token here; the chat shows it grow."""
        fact, chosen = self.walk.fact, self.walk.chosen
        if fact is None or chosen is None:
            return
        if chosen.id == fact.id:
            self.say("This token stands there already; ↑ and ↓ choose another one.")
        elif self.retokenised:
            self.say(NOT_STORED, grave=True)
        else:
            command = commands.BranchReply(
                chat=self._reply.chat, message=self._reply.id, at=self.walk.at, token=chosen.id
            )
            self.desk.ask(command, lambda message: self._branched(message, chosen.text), failed=self._refused)

    def action_leave_layer(self) -> None:
        """What is still being computed for this screen ends with it."""
        if self.reading:
            self.reading = False
            self.desk.ask(commands.StopReply(message=self._reply.id), failed=lambda info: None)
        self.dismiss(None)

    def _branched(self, message: specs.Message, text: str) -> None:
        self.action_leave_layer()
        self.desk.show_branch(message)
        self.desk.say(
            f"A new version goes on from “{shorten(visible(text), 30)}”. ← brings the old one back."
        )

    def _refused(self, info: ErrorInfo) -> None:
        self.say(info.sentence(), grave=True, for_seconds=10)

    def _go_to(self, at: int) -> None:
        self.walk.go(at)
        self._paint()

    def _uncertain(self, by: int, where: str) -> None:
        if not self.walk.next_uncertain(by):
            self.say(f"No token {where} is uncertain; m goes to the least certain one.", for_seconds=2.5)
        self._paint()
