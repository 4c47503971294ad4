"""What one can do with messages: send, stop, ask again."""

from __future__ import annotations

from msgspec.structs import replace

from engine.api import ErrorInfo, commands, specs
from tui.outbox import Outbox, new_id
from tui.reduce import Dirty, What
from tui.screens.base import Desk
from tui.state import Blank, Page, Pending, Turn


class ReplyVerbs(Desk):
    """Verbs on messages and replies."""

    outbox: Outbox
    _sending = False

    def send(self, text: str) -> None:
        """Send now, or as soon as the engine is there. The text comes back if it cannot be sent."""
        chat = self.state.chat
        files, images = self.state.files.pop(chat, ()), self.state.images.pop(chat, ())
        opens = "" if chat else self._opened()
        self.state.pending.append(Pending(text, chat, files, images, new_id(), opens))
        self.outbox.keep(self.state)
        self.state.drafts.pop(self.state.chat, None)
        self.transcript.follow()
        self.link.mark({Dirty(What.PATH, self.state.chat)})
        if self.link.open:
            self.send_pending()

    def recover(self) -> None:
        """At the start: what another screen had on its way when it died is sent now, or given back."""
        for letters in self.outbox.left_behind():
            if letters.fresh:
                self.state.leave_blank()
                self.state.pending.extend(letters.pending)
                self.state.blank = letters.blank
            elif not self.composer.text:
                self.composer.put("\n\n".join(each.text for each in letters.pending))
        if self.state.pending:
            newest = self.state.pending[-1]
            self.state.chat = "" if newest.opens else newest.chat
            self.outbox.keep(self.state)
            self.mark(What.PATH)

    def _opened(self) -> str:
        """Id of the chat that a first message opens; what else waits for it goes there too."""
        return next((each.opens for each in self.state.pending if not each.chat), "") or new_id()

    def send_pending(self) -> None:
        """Send everything that waits, in order."""
        self.attempt(self._send_all(), failed=self._not_sent)

    def action_stop(self, argument: str = "") -> None:
        if not self.stop_reply():
            self.say("Nothing is being written.")

    def stop_reply(self) -> bool:
        """Stop the chat's reply under way; False when there is none."""
        live = self.state.live()
        if live is None or not self.link.open:
            return False
        self.ask(commands.StopReply(message=live.id))
        return True

    def action_answer_now(self, argument: str = "") -> None:
        live = self.state.live()
        if live is None or live.state != "thinking":
            self.say("Nothing is thinking.")
            return
        self.ask(commands.AnswerNow(message=live.id))

    def action_regenerate(self, argument: str = "") -> None:
        reply = self._reply()
        if reply is None:
            self.say("There is no reply to ask for again.")
        elif reply.live:
            self.say("This reply is still being written; Esc stops it.")
        else:
            self.transcript.follow()
            self.ask(
                commands.Regenerate(chat=reply.chat, message=reply.id),
                lambda message: self.link.take_messages([message]),
            )

    def action_previous_message(self, argument: str = "") -> None:
        self.transcript.step(-1)
        self.transcript.focus()

    def action_next_message(self, argument: str = "") -> None:
        self.transcript.step(1)
        self.transcript.focus()

    def action_page_up(self, argument: str = "") -> None:
        self.transcript.scroll_page_up(animate=False)

    def action_page_down(self, argument: str = "") -> None:
        self.transcript.scroll_page_down(animate=False)

    async def _send_all(self) -> None:
        if self._sending:
            return  # it comes to what was added meanwhile
        self._sending = True
        try:
            while self.state.pending:
                await self._send(self.state.pending[0])
        finally:
            self._sending = False

    async def _send(self, pending: Pending) -> None:
        if pending.opens:
            await self._create(pending)
        files, images = pending.files, pending.images
        sent: commands.Sent = await self.link.request(
            commands.Send(pending.chat, pending.text, files=files, images=images, id=pending.id)
        )
        self.state.pending.remove(pending)
        self.outbox.keep(self.state)
        self.link.take_chat(sent.chat)
        self.link.take_messages([sent.user, sent.reply])
        self.link.mark({Dirty(What.PATH, pending.chat)})

    async def _create(self, pending: Pending) -> None:
        """The chat of a first message; what else waits for it goes there too."""
        blank = pending.blank or self.state.blank
        chat: specs.ChatInfo = await self.link.request(
            commands.NewChat(blank.model, blank.settings, id=pending.opens, saved=blank.saved)
        )
        shown, opened = not pending.chat, pending.opens
        self.link.take_chat(chat)
        for waiting in self.state.pending:
            if waiting.opens == opened:
                waiting.chat, waiting.opens, waiting.blank = chat.id, "", None
        self.state.engine.pages.setdefault(chat.id, Page())
        if shown:
            self.state.chat = chat.id
            self._catch_up(blank)

    def _catch_up(self, opened: Blank) -> None:
        """What was changed on the chat shown while it was opened holds from its next message on."""
        now, self.state.blank = self.state.blank, replace(self.state.blank, saved=True)
        if (now.model, now.settings) != (opened.model, opened.settings):
            self.change_settings(now.settings, model=now.model)

    def _not_sent(self, info: ErrorInfo) -> None:
        """Give the text back to the composer where that is empty; else it keeps waiting in the transcript."""
        if not self.link.open:
            return
        if self.state.pending and not self.composer.text:
            self.composer.put(self.state.pending.pop(0).text)
            self.outbox.keep(self.state)
        self.mark(What.PATH)
        self.fail(info)

    def _reply(self) -> Turn | None:
        selected = self.transcript.selected
        if selected is not None and selected.role == "assistant":
            return selected
        return self.newest("assistant")
