"""What one can do with the screen: move between panes, leave, copy, help, picture, theme, restart."""

from __future__ import annotations

import time

from textual.widget import Widget

from tui.actions import Where
from tui.screens.chat_verbs import ChatVerbs
from tui.screens.model_verbs import ModelVerbs
from tui.screens.reply_verbs import ReplyVerbs
from tui.widgets.lines import name

TWICE = 2.0
"""Seconds within which a second Ctrl+C counts."""


class ScreenVerbs(ChatVerbs, ReplyVerbs, ModelVerbs):
    """Verbs on panes and on the program itself."""

    _interrupted_at = 0.0

    @property
    def narrow(self) -> bool:
        """Whether the side panes are drawers."""
        return self.size.width < 100

    @property
    def panes(self) -> list[Widget]:
        """What Tab goes round."""
        return [self.composer, self.transcript, self.side]

    def go_to(self, pane: Widget) -> None:
        """Give a pane the focus; a drawer opens for it, and closes when another pane takes over."""
        self.side.set_class(pane is self.side, "-open")
        self.set_focus(pane, scroll_visible=False)  # at once: the next key may be here already
        if self.narrow:
            self.call_after_refresh(self.rule.refresh)

    def action_next_pane(self, argument: str = "") -> None:
        self._turn_to(1)

    def action_previous_pane(self, argument: str = "") -> None:
        self._turn_to(-1)

    def action_leave(self, argument: str = "") -> None:
        """Stop the reply; else close what is open; else go back to the composer."""
        if self.stop_reply():
            return
        if self.monitor.has_class("-open"):
            self.monitor.remove_class("-open")
        elif self.focused is not self.composer:
            self.go_to(self.composer)
            self.transcript.select("")
        else:
            self.nothing_to_leave()

    def nothing_to_leave(self) -> None:
        """Escape in the composer, with nothing to stop and nothing open."""

    def action_copy_or_stop(self, argument: str = "") -> None:
        """Copy the selection, else stop, else quit at the second press; the one that stopped never counts."""
        selected = self.composer.selected_text if self.focused is self.composer else ""
        selected = selected or self.get_selected_text() or ""
        if selected:
            self.copy(selected)
            self._interrupted_at = 0.0
            return
        if self.stop_reply():
            self._interrupted_at = 0.0
            self.say("Stopped.", for_seconds=2)
            return
        now = time.monotonic()
        if now - self._interrupted_at < TWICE:
            self.action_leave_app()
            return
        self._interrupted_at = now
        self.say("Ctrl+C again quits.", for_seconds=TWICE)

    def action_help(self, argument: str = "") -> None:
        from tui.screens.help import Help

        places = {self.composer: Where.COMPOSER, self.transcript: Where.TRANSCRIPT, self.side: Where.SIDE}
        self.app.push_screen(Help(places.get(self.focused, Where.COMPOSER)))  # type: ignore[arg-type]

    def action_screenshot(self, argument: str = "") -> None:
        def save() -> None:
            try:
                path = self.app.save_screenshot()
            except OSError as error:
                self.say(f"The picture could not be written: {error.strerror or error}", grave=True)
            else:
                self.say(f"The picture is in {name(path)}.")

        self.set_timer(0.1, save)  # the palette must be gone from the screen first

    def action_mouse(self, argument: str = "") -> None:
        """`on`, `off`, or the other one."""
        from tui.driver import TerminalDriver

        driver, word = self.app._driver, argument.strip().lower()
        if word not in ("", "on", "off"):
            self.say("/mouse takes on or off.", grave=True)
        elif isinstance(driver, TerminalDriver):
            driver.use_mouse(word == "on" if word else not driver.mouse)
            words = (
                "The mouse scrolls and clicks; Shift and drag selects text in most terminals."
                if driver.mouse
                else "The mouse is the terminal's: drag selects text."
            )
            self.say(f"{words} /mouse {'off' if driver.mouse else 'on'} changes it back.", for_seconds=6)

    def action_redraw(self, argument: str = "") -> None:
        from tui.driver import TerminalDriver

        if isinstance(self.app._driver, TerminalDriver):
            self.app._driver.forget_screen()
        self.app.refresh(layout=True)

    def action_restart(self, argument: str = "") -> None:
        from tui.app import QwillApp

        if self.link.person_needed and isinstance(self.app, QwillApp) and not self.app.step_aside():
            return
        if not self.link.restart():
            self.say("The engine is running.")

    def action_leave_app(self, argument: str = "") -> None:
        self.run_worker(self.app.run_action("leave_app"))

    def _turn_to(self, by: int) -> None:
        panes = self.panes
        at = panes.index(self.focused) if self.focused in panes else 0
        self.go_to(panes[(at + by) % len(panes)])
