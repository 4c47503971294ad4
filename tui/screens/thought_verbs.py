"""What one can do with what stands in a reply: thoughts, raw text, wide code; and the place in a chat."""

from __future__ import annotations

import msgspec

from engine.api import commands
from tui.format import plural, roughly, seconds
from tui.screens.copy_verbs import CopyVerbs
from tui.widgets.transcript import Transcript


class ThoughtVerbs(CopyVerbs):
    """Verbs on thoughts and on how a reply is shown."""

    async def action_fold_all(self, argument: str = "") -> None:
        await self.transcript.toggle_all()

    def action_keep_thoughts(self, argument: str = "") -> None:
        settings = self.state.settings()
        keep = not settings.keep_thoughts
        self.change_settings(msgspec.structs.replace(settings, keep_thoughts=keep))
        words = "Earlier thoughts are sent to the model again" if keep else "Earlier thoughts are left out"
        self.say(f"{words} from the next message on.")

    def action_read_thought(self, argument: str = "") -> None:
        turn = self.transcript.selected
        if turn is None or not turn.thinking:
            path = self.state.engine.path(self.state.chat)
            newest = next((each for each in reversed(path) if each.thinking), None)
            turn = newest if turn is None else None
        if turn is None:
            self.say("There is no thought here.")
            return
        from tui.modals.thought import ThoughtScreen

        chosen, engine = turn.id, self.state.engine
        stats = turn.stats
        numbers = [seconds(stats.thinking_s)] if stats and stats.thinking_s else []
        if stats and stats.thinking_tokens:
            numbers.append(roughly(stats.estimated) + plural(stats.thinking_tokens, "token"))

        def read() -> str:
            known = engine.turns.get(chosen)
            return known.thinking if known is not None else ""

        def copy(text: str) -> str:
            self.copy(text, "the thought")
            return self.hints.message or "copying"

        self.app.push_screen(ThoughtScreen(" · ".join(["Thought", *numbers]), read, copy))

    async def action_raw_text(self, argument: str = "") -> None:
        turn = self.transcript.selected or self.newest("assistant")
        raw = await self.transcript.toggle_raw(turn.id) if turn is not None else None
        if raw is None:
            self.say("There is no reply to show raw.")
        else:
            self.say("Raw text; x shows it as Markdown again." if raw else "Markdown again.", for_seconds=2.5)

    def action_code_left(self, argument: str = "") -> None:
        self._move_code(-1)

    def action_code_right(self, argument: str = "") -> None:
        self._move_code(1)

    def _move_code(self, by: int) -> None:
        moved = self.transcript.move_code(by)
        if moved is None:
            self.say("There is no code in this reply.")
        elif not moved:
            self.say("This code is not wider than its box.", for_seconds=2.5)

    # --- the place in a chat ----------------------------------------------------------------

    def on_transcript_settled(self, event: Transcript.Settled) -> None:
        event.stop()
        self.keep_view()

    def keep_view(self) -> None:
        """Have the engine keep which thoughts are open, and where one was reading."""
        chat = self.transcript.chat
        known = self.state.engine.chats.get(chat)
        if known is None or not self.link.open or (view := self.transcript.view()) == known.view:
            return
        # At once on this side too: the chat may be opened again before the engine has answered.
        self.state.engine.chats[chat] = msgspec.structs.replace(known, view=view)
        self.ask(commands.ChangeChat(chat=chat, view=view), failed=lambda info: None)
