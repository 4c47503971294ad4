"""What one can do to look into a reply's tokens."""

from __future__ import annotations

from engine.api import specs
from tui.elsewhere import can_inspect, no_inspecting
from tui.screens.run_verbs import RunVerbs
from tui.screens.screen_verbs import ScreenVerbs


class InspectVerbs(ScreenVerbs, RunVerbs):
    """Verbs on tokens. On the selected reply, else on the newest."""

    def action_inspect(self, argument: str = "") -> None:
        reply = self._reply()
        model = self.state.engine.model(reply.model) if reply is not None else None
        if model is not None and not can_inspect(model):
            self.say(no_inspecting(model))
        elif reply is None:
            self.say("There is no reply to look into yet.")
        elif reply.live:
            self.say("This reply is still being written; Esc stops it.")
        elif not reply.text and not reply.thinking:
            self.say("There is nothing in this reply to look into.")
        elif not self.link.open:
            self.say("The engine is not there. F9 connects again.", grave=True)
        else:
            from tui.screens.inspector import Inspector

            self.app.push_screen(Inspector(self, reply))

    def show_branch(self, message: specs.Message) -> None:
        """Follow a reply that has just begun as a branch of another one."""
        self.link.take_messages([message])
        if self.state.chat == message.chat:
            self.go_to(self.transcript)
            self.transcript.follow()
