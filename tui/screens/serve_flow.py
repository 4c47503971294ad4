"""What /serve does: ask for the port and start, or show how it is used and stop it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from engine.api import commands
from tui.dirty import What
from tui.elsewhere import where
from tui.modals.serving import ServingDialog, StartServingDialog
from tui.widgets.lines import name

if TYPE_CHECKING:
    from tui.screens.chat import Workbench


def open_serving(desk: Workbench, argument: str) -> None:
    """The dialog that fits how it stands; `/serve stop` ends it without one."""
    serving = desk.state.engine.serving
    if argument == "stop":
        _stop(desk)
    elif serving is not None:
        _show(desk, fresh=False)
    else:
        _ask_port(desk)


def _ask_port(desk: Workbench) -> None:
    model = desk.state.model()
    if model is not None and model.runs_on == "server":
        desk.say(
            f"{name(model.name)} is served by {where(model)} already. Ctrl+L takes a model of this machine."
        )
        return

    def chosen(port: int | None) -> None:
        if port is not None:
            command = commands.StartServing(port, desk.state.model_id())
            desk.ask(command, lambda info: _started(desk, info))

    desk.app.push_screen(StartServingDialog(model.name if model else desk.state.model_id()), chosen)


def _started(desk: Workbench, info: commands.ServingInfo) -> None:
    desk.state.engine.serving = info
    desk.mark(What.ENGINE)
    _show(desk, fresh=True)


def _show(desk: Workbench, *, fresh: bool) -> None:
    engine = desk.state.engine
    served = engine.model(engine.serving.model) if engine.serving else None
    title = served.name if served else engine.serving.model if engine.serving else ""

    def copy(text: str, what: str) -> str:
        desk.hints.say("", for_seconds=0)
        desk.copy(text, what)
        return desk.hints.message or "copying"

    def closed(verb: Literal["stop"] | None) -> None:
        if verb == "stop":
            _stop(desk)

    desk.app.push_screen(ServingDialog(lambda: engine.serving, title, copy, fresh=fresh), closed)


def _stop(desk: Workbench) -> None:
    if desk.state.engine.serving is None:
        desk.say("Nothing is served. /serve starts it.")
        return

    def stopped(_: object) -> None:
        desk.state.engine.serving = None
        desk.mark(What.ENGINE)
        desk.say("Other programs cannot ask any more. /serve starts it again.")

    desk.ask(commands.StopServing(), stopped)
