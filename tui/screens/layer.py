"""A full screen over the workbench: its keys on the bottom line, drawn by the workbench's clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType

from tui.actions import Moment, Where
from tui.bindings import bindings
from tui.dirty import What
from tui.screens.covered import Covered
from tui.widgets.key_hints import KeyHints

if TYPE_CHECKING:
    from tui.screens.run_verbs import RunVerbs


class Layer(Covered):
    """Asks and tells through the workbench, which owns the link. `redraw` is told what changed."""

    DEFAULT_CSS = """
    Layer {
        layout: vertical;
        overflow: hidden;
        background: $background;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.LAYER)
    place: ClassVar[Where] = Where.LAYER

    def __init__(self, desk: RunVerbs) -> None:
        super().__init__()
        self.desk = desk
        self.state = desk.state
        self.hints = KeyHints(desk.state)
        self.hints.show_moment(self.moment())

    def moment(self) -> Moment:
        """What the key hints are for."""
        raise NotImplementedError

    def redraw(self, kinds: set[What]) -> None:
        """The state changed in these parts."""

    def say(self, words: str, *, grave: bool = False, for_seconds: float = 5.0) -> None:
        """A sentence in place of the key hints for a while."""
        self.hints.say(words, grave=grave, for_seconds=for_seconds)

    def action_leave_layer(self) -> None:
        self.dismiss(None)

    def action_layer_help(self) -> None:
        from tui.screens.help import Help

        self.app.push_screen(Help(self.place))

    def action_layer_models(self) -> None:
        self._go("show_models")

    def action_layer_restart(self) -> None:
        self.desk.run_command("restart")

    def action_layer_runs(self) -> None:
        self._go("runs")

    def action_layer_train(self) -> None:
        self._go("train")

    def action_layer_memory(self) -> None:
        if self.moment() is Moment.MEMORY:
            self.action_leave_layer()
        else:
            self._go("show_memory")

    def action_layer_adapter(self) -> None:
        self.desk.action_toggle_adapter()

    def _go(self, action: str, argument: str = "") -> None:
        if self.moment().value != action:
            self.dismiss(None)
            self.desk.run_command(action, argument)
