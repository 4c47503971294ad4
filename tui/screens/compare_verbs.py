"""What one can do to compare: choose what, open the columns, go on with the better version."""

from __future__ import annotations

import random

from engine.api import commands, specs
from tui.screens.run_verbs import RunVerbs
from tui.state import Turn


class CompareVerbs(RunVerbs):
    """Verbs on comparisons."""

    def action_compare(self, argument: str = "") -> None:
        reply = self._comparable()
        model = self.state.model()
        if reply is None or model is None:
            self.say("Ask something first; then its answer can be compared.")
            return
        from tui.compare import plans
        from tui.modals.compare import ComparePicker

        found = plans(self.state.engine, model, self.state.settings())
        chosen = next((plan for plan in found if plan.id == argument), None)

        def picked(plan_id: str | None) -> None:
            plan = next((each for each in found if each.id == plan_id), None)
            if plan is None:
                return
            from tui.screens.compare import Compare

            question = self.state.engine.turns.get(reply.parent or "")
            words = question.text if question else ""
            self.app.push_screen(Compare(self, plan, reply, words, random.Random()))

        if chosen is not None:
            picked(chosen.id)
        else:
            self.app.push_screen(ComparePicker(found), picked)

    def show_version(self, chat: str, message: str) -> None:
        """Let the chat's path go through this message."""

        def shown(info: specs.ChatInfo) -> None:
            self.link.take_chat(info)
            self.attempt(self.link.read(chat))

        self.ask(commands.ShowVersion(chat=chat, message=message), shown)

    def _comparable(self) -> Turn | None:
        """The selected reply, else the newest one that is complete."""
        selected = self.transcript.selected
        if selected is not None and selected.role == "assistant" and not selected.live:
            return selected
        path = self.state.engine.path(self.state.chat)
        return next((turn for turn in reversed(path) if turn.role == "assistant" and not turn.live), None)
