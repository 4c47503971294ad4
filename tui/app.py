"""The app: theme, palette, terminal, and the workbench as its one screen. Light to import, on purpose."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ClassVar

from tui import environment  # first: Textual reads the environment while it is imported

# isort: split
from textual.app import App
from textual.binding import BindingType
from textual.driver import Driver
from textual.screen import Screen

from engine.api import EngineError, config_dir
from tui.actions import Where, keyed
from tui.bindings import bindings
from tui.dialling import Dial
from tui.driver import WATCHED, TerminalDriver, end_with_terminal
from tui.link import Wire
from tui.screens.chat import Workbench
from tui.text import Sanitise, clean_name
from tui.themes import startup_theme
from tui.tidy import EVERY, Tidy

if TYPE_CHECKING:
    from engine.api import Line
    from tui.switching import Places

__all__ = ["QwillApp", "environment", "run"]


class QwillApp(App[None]):
    """The workbench over one engine. `dial` connects to it; `host` is what another machine is called."""

    TITLE = "Qwill"
    BINDINGS: ClassVar[list[BindingType]] = bindings(Where.APP)
    ESCAPE_TO_MINIMIZE = False
    ENABLE_COMMAND_PALETTE = False  # the palette is ours

    def __init__(
        self,
        dial: Callable[[], Awaitable[Wire]],
        *,
        model: str | None = None,
        tour: bool = False,
        host: str = "",
        driver_class: type[Driver] | None = None,
    ) -> None:
        super().__init__(driver_class=driver_class)
        self._dial = dial
        self._places: Places | None = None
        keyed.choose({})
        keyed.report_all(False)
        theme = startup_theme()
        self.register_theme(theme)
        self.set_reactive(App.theme, theme.name)  # no watchers: there is nothing to restyle yet
        self.set_class(theme.dark, "-dark-mode", update=False)
        self.set_class(not theme.dark, "-light-mode", update=False)
        self._refresh_truecolor_filter(self.ansi_theme)
        self.stylesheet.set_variables(self.get_css_variables())
        self._filters.append(Sanitise())
        self.workbench = Workbench(dial, model=model, tour=tour, host=host)

    def get_default_screen(self) -> Screen[None]:
        return self.workbench

    def places(self) -> Places:
        """The workbenches over the engines of several machines."""
        if self._places is None:
            from tui.switching import Places

            self._places = Places(self, self.workbench, self._dial)
        return self._places

    def opened_places(self) -> Places | None:
        """The same, where more than one was ever asked for."""
        return self._places

    def take_workbench(self, workbench: Workbench, dial: Callable[[], Awaitable[Wire]]) -> None:
        """Another one is the one that is shown."""
        self.workbench, self._dial = workbench, dial

    def on_workbench_opened(self) -> None:
        """The first paint is out and the composer has the focus: keys typed before may come."""
        self._take_keymap()
        if isinstance(self._driver, TerminalDriver):
            self._driver.let_in()

    def on_keys_reported(self) -> None:
        """The terminal tells every key: more of them can be shown."""
        keyed.report_all(True)
        self.workbench.hints.redraw()

    def _take_keymap(self) -> None:
        """Use the person's own keys, where there is a file of them."""
        try:
            file = config_dir() / "keymap.toml"
        except EngineError:
            return
        if not file.exists():
            return
        from tui.keymap import read

        keymap = read(file)
        keyed.choose(keymap.keys)
        self.set_keymap({action: ",".join(keys) for action, keys in keymap.keys.items()})
        self.workbench.hints.redraw()
        if keymap.complaints:
            more = f" And {len(keymap.complaints) - 1} more." if len(keymap.complaints) > 1 else ""
            self.workbench.say(keymap.complaints[0] + more, grave=True, for_seconds=12)

    def on_ready(self) -> None:
        if isinstance(self._driver, TerminalDriver):
            self.set_timer(1.0, self._tidy_up)
            self.set_interval(2.0, self._driver.check)
            self.set_timer(WATCHED, self._driver.watch)

    def _tidy_up(self) -> None:
        driver = self._driver
        assert isinstance(driver, TerminalDriver)
        self.set_interval(EVERY, Tidy(lambda: driver.typed).look)

    def action_palette(self) -> None:
        from tui.modals.palette import palette

        def picked(action: str | None) -> None:
            if action:
                self.workbench.run_command(action)

        if self.screen is self.workbench:
            self.push_screen(palette(), picked)

    def step_aside(self) -> bool:
        """Leave the terminal to ssh, which asks what only a person can answer; False where that failed."""
        from tui.dialling import aside

        if not isinstance(self._dial, Dial):
            return True
        trouble = aside(self, self._dial)
        if trouble:
            self.workbench.say(trouble, grave=True, for_seconds=12)
        return not trouble

    async def action_leave_app(self) -> None:
        """Leave, and say what goes on without the screen."""
        live = sum(turn.live for turn in self.workbench.state.engine.turns.values())
        words = "The engine goes on writing the reply; `qwill` shows it again." if live else None
        run = self.workbench.state.engine.active_run()
        if run is not None:
            words = f"{clean_name(run.name)} goes on training; `qwill` shows it again."
        self.workbench.give_up_edit()
        await self.workbench.keep_before_leaving()
        self.exit(message=words)

    def action_help_quit(self) -> None:
        """Ctrl+C in a dialog closes nothing and quits nothing."""

    async def on_unmount(self) -> None:
        opened = self._places.workbenches() if self._places is not None else (self.workbench,)
        for workbench in opened:
            await workbench.link.close()


def run(
    *,
    in_process: bool = False,
    model: str | None = None,
    started: int | None = None,
    tour: bool = False,
    host: str = "",
    line: Line | None = None,
) -> int:
    """Open the workbench and come back when it is left, with its exit status.

    `in_process`: the engine runs in this process. `model`: use this one in a new chat. `started`: the
    parent of an engine that is starting. `tour`: show the steps to try. `host`: the engine is there, and
    `line` is the way that was opened to it. A collector that was turned off is on again after the first
    paint.
    """
    dial = Dial(in_process=in_process, started=started, host=host, line=line)
    end_with_terminal()
    app = QwillApp(dial, model=model, tour=tour, host=dial.called, driver_class=TerminalDriver)
    app.run(mouse=environment.PROFILE.mouse)
    return app.return_code or 0
