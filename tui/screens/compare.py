"""Two to four replies to one question side by side: word differences, blind mode, a vote."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets import Static

from engine.api import ErrorInfo, commands, specs
from tui.actions import Moment, Where
from tui.bindings import bindings
from tui.compare import Plan, settled
from tui.dirty import What
from tui.format import shorten
from tui.screens.layer import Layer
from tui.state import Turn
from tui.widgets.compare_column import CompareColumn
from tui.widgets.lines import name
from tui.widgets.title import Title

if TYPE_CHECKING:
    from tui.screens.compare_verbs import CompareVerbs


class Compare(Layer):
    """Asks for each column's reply as a version beside the one it was opened on; the chat's path stays."""

    DEFAULT_CSS = """
    Compare .question {
        height: auto;
        max-height: 4;
        padding: 0 2 1 2;
        color: $user;
    }
    Compare .columns {
        height: 1fr;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.COMPARE)
    place = Where.COMPARE
    desk: CompareVerbs

    def __init__(
        self, desk: CompareVerbs, plan: Plan, reply: Turn, question: str, chance: random.Random
    ) -> None:
        self.columns = [CompareColumn(number, each) for number, each in enumerate(plan.variants, 1)]
        self.voted = False
        self._plan, self._reply, self._chance = plan, reply, chance
        self._diff = True
        super().__init__(desk)
        self.head = Title("Compare", plan.title)
        self._question = Static(shorten(name(question), 300), classes="question", markup=False)

    def compose(self) -> ComposeResult:
        yield self.head
        yield self._question
        with Horizontal(classes="columns"):
            yield from self.columns
        yield self.hints

    def moment(self) -> Moment:
        return Moment.COMPARE

    def on_mount(self) -> None:
        for column in self.columns:
            self._ask(column)
        self.columns[0].focus()
        self._draw()

    def _ask(self, column: CompareColumn) -> None:
        def queued(message: specs.Message) -> None:
            column.message = message.id
            self.desk.link.take_aside(message)
            self._draw()

        command = commands.Regenerate(
            chat=self._reply.chat,
            message=self._reply.id,
            model=column.variant.model,
            settings=column.variant.settings,
            show=False,
        )
        self.desk.ask(command, queued, failed=lambda info: self._failed(column, info))

    def _failed(self, column: CompareColumn, info: ErrorInfo) -> None:
        column.trouble = info.sentence()
        self._draw()

    # --- drawing ----------------------------------------------------------------------------

    def redraw(self, kinds: set[What]) -> None:
        if kinds & {What.TURN, What.PATH, What.SPEED, What.ENGINE} and self.is_mounted:
            self._draw()

    @property
    def turns(self) -> list[Turn | None]:
        """The columns' replies as far as they have come."""
        return [self.state.engine.turns.get(column.message) for column in self.columns]

    @property
    def blind(self) -> bool:
        """Whether the names are hidden now."""
        return any(column.hidden for column in self.columns)

    def _draw(self) -> None:
        turns = self.turns
        first = turns[0] if self._diff and settled(turns) else None
        for column, turn in zip(self.columns, turns, strict=True):
            column.show(turn, first)

    # --- verbs ------------------------------------------------------------------------------

    def action_compare_up(self) -> None:
        self._scroll(-1)

    def action_compare_down(self) -> None:
        self._scroll(1)

    def action_compare_page_up(self) -> None:
        self._scroll(-(self.columns[0].size.height - 2))

    def action_compare_page_down(self) -> None:
        self._scroll(self.columns[0].size.height - 2)

    def _scroll(self, by: int) -> None:
        """All columns move together."""
        for column in self.columns:
            column.scroll_relative(y=by, animate=False)

    def action_compare_words(self) -> None:
        self._diff = not self._diff
        self._draw()

    async def action_compare_blind(self) -> None:
        """Hide the names and mix the columns, until the vote; again shows them."""
        if self.voted:
            self.say("You have voted; the names are known.")
            return
        hide = not self.blind
        if hide:
            self._chance.shuffle(self.columns)
            row = self.query_one(".columns", Horizontal)
            for column in self.columns[1:]:
                row.move_child(column, after=row.children[-1])
        for number, column in enumerate(self.columns, 1):
            column.number, column.hidden = number, hide
        self.say("The names are hidden until you vote." if hide else "The names are shown.")
        self._draw()

    def action_vote_1(self) -> None:
        self._vote(0)

    def action_vote_2(self) -> None:
        self._vote(1)

    def action_vote_3(self) -> None:
        self._vote(2)

    def action_vote_4(self) -> None:
        self._vote(3)

    def action_vote_tie(self) -> None:
        self._vote(None)

    def action_vote_bad(self) -> None:
        self._vote(None, all_bad=True)

    def _vote(self, winner: int | None, *, all_bad: bool = False) -> None:
        if self.voted:
            self.say("This vote is stored already.")
        elif not settled(self.turns):
            self.say("Wait until all replies are complete.")
        elif winner is not None and winner >= len(self.columns):
            self.say(f"There are {len(self.columns)} columns.")
        else:
            self._store(winner, all_bad)

    def _store(self, winner: int | None, all_bad: bool) -> None:
        best = self.columns[winner].message if winner is not None else ""
        others = tuple(column.message for column in self.columns if column.message != best)

        def stored(_: object) -> None:
            self.voted = True
            for column in self.columns:
                column.hidden = False
            words = "All bad" if all_bad else "A tie"
            if winner is not None:
                self.columns[winner].won = True
                words = f"{name(self.columns[winner].variant.label)} wins; Enter goes on with it"
            self.say(f"{words}. The vote is stored as a preference.", for_seconds=10)
            self._draw()

        command = commands.Vote(chat=self._reply.chat, winner=best, over=others, all_bad=all_bad)
        self.desk.ask(command, stored, failed=lambda info: self.say(info.sentence(), grave=True))

    def action_compare_use(self) -> None:
        """Go on in the chat with the column that won."""
        won = next((column for column in self.columns if column.won), None)
        if won is None:
            self.say("1 to 4 votes for a column first.")
            return
        self.dismiss(None)
        self.desk.show_version(self._reply.chat, won.message)

    def action_leave_layer(self) -> None:
        """What is still being written for the comparison ends with it."""
        for turn in self.turns:
            if turn is not None and turn.live:
                self.desk.ask(commands.StopReply(message=turn.id), failed=lambda info: None)
        self.dismiss(None)
