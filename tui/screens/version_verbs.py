"""What one can do with the tree of messages: edit, continue, walk versions, fork, delete, mark."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from engine.api import EngineError, EngineLost, ErrorInfo, commands, events, specs
from tui.format import shorten
from tui.reduce import apply
from tui.reply_facts import again
from tui.screens.screen_verbs import ScreenVerbs
from tui.state import Turn
from tui.widgets.edit_line import EditLine
from tui.widgets.lines import name

UNDO = 10.0
"""Seconds for which the way back from a deletion is shown."""


class Editing(msgspec.Struct):
    """A message that is being edited, and the draft that its text took the place of."""

    turn: Turn
    draft: str
    reading: bool
    """Whether it was begun in the transcript, which is gone back to then."""


class Gone(msgspec.Struct):
    """A message that was deleted here."""

    turn: Turn
    chats_gone: int
    """Chats in the trash then: more of them now were deleted later."""


class VersionVerbs(ScreenVerbs):
    """Verbs on versions and marks. On the selected message, else on the newest that fits."""

    edit_line: EditLine
    _editing: Editing | None = None
    _gone: list[Gone]

    # --- editing ----------------------------------------------------------------------------

    def action_edit_message(self, argument: str = "") -> None:
        turn = self.transcript.selected or self.newest("user")
        if turn is None:
            self.say("There is nothing to edit yet.")
        elif turn.live:
            self._say_live("edited")
        else:
            self.give_up_edit()
            self.keep_draft()
            self._edit(turn, self.composer.whole, turn.text)

    def _edit(self, turn: Turn, draft: str, text: str) -> None:
        """Put a text into the composer as the new version of a message."""
        self._editing = Editing(turn, draft, self.focused is self.transcript)
        if turn.role == "assistant":
            words = "Editing the reply · Enter saves what it should have been · Esc gives up"
        else:
            words = "Editing your message · Enter saves a new version · Esc gives up"
        self.edit_line.say(words)
        self.composer.put(text)
        self.go_to(self.composer)

    def give_up_edit(self) -> bool:
        """Leave the message as it is and bring the draft back; False when nothing is edited."""
        editing, self._editing = self._editing, None
        if editing is None:
            return False
        self.edit_line.say("")
        self.composer.put(editing.draft)
        return True

    def save_edit(self, text: str) -> bool:
        """Take what the composer sends as the new version; False when nothing is edited."""
        editing = self._editing
        if editing is None:
            return False
        turn = editing.turn
        if not self.link.open:
            self.say("The engine is not there, so nothing is saved yet. F9 connects again.", grave=True)
            return True
        self.give_up_edit()
        if text == turn.text:
            self.say("Nothing was changed, so there is no new version.")
            return True
        row = self.transcript.row_of(turn.id)

        async def save() -> None:
            command = commands.EditMessage(chat=turn.chat, message=turn.id, text=text)
            edited: commands.Edited = await self.link.request(command)
            if edited.reply is None:
                self._go_back(editing)
            await self._take_edit(edited, row)

        self.attempt(save(), failed=lambda info: self._edit_failed(editing, text, info))
        return True

    async def _take_edit(self, edited: commands.Edited, row: int) -> None:
        self.link.take_chat(edited.chat)
        new = [edited.message] if edited.reply is None else [edited.message, edited.reply]
        self.link.take_messages(new)
        if self.state.chat != edited.chat.id:
            return
        if edited.reply is None:
            await self.transcript.hold(edited.message.id, row)
        else:
            self.transcript.follow()

    def _edit_failed(self, editing: Editing, text: str, info: ErrorInfo) -> None:
        """What was written is not lost: it is in the composer again, as it was."""
        if self._editing is None and self.state.chat == editing.turn.chat:
            self._edit(editing.turn, self.composer.whole, text)
        self.fail(info)

    def action_leave(self, argument: str = "") -> None:
        """Escape in the composer gives up an edit before it does anything else."""
        editing = self._editing
        if editing is None or self.focused is not self.composer:
            super().action_leave(argument)
            return
        self.give_up_edit()
        self._go_back(editing)

    def _go_back(self, editing: Editing) -> None:
        if editing.reading:
            self.go_to(self.transcript)

    def open_chat(self, chat: str) -> None:
        """An edit ends with its chat."""
        if chat != self.state.chat:
            self.give_up_edit()
        super().open_chat(chat)

    def keep_draft(self) -> None:
        """The text of an edit is no draft."""
        if self._editing is None:
            super().keep_draft()

    # --- continue and fork ------------------------------------------------------------------

    def action_continue_reply(self, argument: str = "") -> None:
        reply = self._reply()
        if reply is None:
            self.say("There is no reply to continue.")
        elif reply.live:
            self.say("This reply is still being written.")
        else:
            self.transcript.follow()
            self.ask(
                commands.ContinueReply(chat=reply.chat, message=reply.id),
                lambda message: self.link.take_messages([message]),
            )

    def action_fork_chat(self, argument: str = "") -> None:
        turn = self._at()
        if turn is None:
            self.say("There is nothing to fork yet.")
            return

        def forked(chat: specs.ChatInfo) -> None:
            self.link.take_chat(chat)
            self.open_chat(chat.id)
            self.go_to(self.composer)
            self.say("A new chat with everything up to there; the other one is as it was.")

        self.ask(commands.ForkChat(chat=turn.chat, message=turn.id), forked)

    # --- versions ---------------------------------------------------------------------------

    def action_previous_version(self, argument: str = "") -> None:
        self._step_version(-1)

    def action_next_version(self, argument: str = "") -> None:
        self._step_version(1)

    def action_versions(self, argument: str = "") -> None:
        turn = self._versioned()
        if turn is None:
            self.say("There is nothing here yet.")
        elif turn.versions == 1:
            self._step_version(1)
        elif not argument:
            self.say(f"Version {turn.version} of {turn.versions}. /versions NUMBER shows another one.")
        elif not argument.isdecimal() or not 1 <= int(argument) <= turn.versions:
            self.say(f"/versions takes a number from 1 to {turn.versions}.", grave=True)
        elif int(argument) != turn.version:
            self.attempt(self._show_version(turn, int(argument) - turn.version))

    def _step_version(self, by: int) -> None:
        turn = self._versioned()
        if turn is None:
            self.say("There is nothing here yet.")
        elif turn.versions == 1:
            other = "e edits it" if turn.role == "user" else "r asks again, e edits it"
            self.say(f"This message has one version. {other}.")
        elif not 1 <= turn.version + by <= turn.versions:
            self.say(f"This is the {'first' if by < 0 else 'newest'} version.", for_seconds=2.5)
        else:
            self.attempt(self._show_version(turn, by))

    async def _show_version(self, turn: Turn, by: int) -> None:
        """Another version, selected, where this one stood."""
        row = self.transcript.row_of(turn.id)
        command = commands.ShowVersion(chat=turn.chat, message=turn.id, by=by)
        await self._read_to(await self.link.request(command))
        await self._hold_version(turn, row)

    async def _hold_version(self, turn: Turn, row: int) -> bool:
        """Put the version that is on the path now where another one stood; False where none is."""
        parent = self.state.engine.turns.get(turn.parent or "")
        shown = await self._find(
            turn.chat,
            lambda each: (each.parent, each.role) == (turn.parent, turn.role),
            parent.created if parent is not None else 0.0,
        )
        if shown is not None and self.state.chat == turn.chat:
            await self.transcript.hold(shown.id, row)
        return shown is not None

    async def show_message(self, chat: str, message: str, created: float = 0.0) -> None:
        """Open a chat at a message, on whichever path it is; nothing older than `created` is looked at.

        Raises what a request raises.
        """
        self.open_chat(chat)
        await self.link.read(chat)
        shown = await self._find(chat, lambda each: each.id == message, created)
        if shown is None:
            await self._read_to(await self.link.request(commands.ShowVersion(chat=chat, message=message)))
            shown = await self._find(chat, lambda each: each.id == message, created)
        if shown is not None and self.state.chat == chat:
            self.go_to(self.transcript)
            await self.transcript.hold(message, 0)

    async def _read_to(self, chat: specs.ChatInfo) -> None:
        """Read the path as it is now; a reading that began before may have missed the change."""
        for _ in range(2):
            self.link.take_chat(chat)
            await self.link.read(chat.id)
            path = self.state.engine.path(chat.id)
            if chat.head is None or (path and path[-1].id == chat.head):
                return

    async def _find(self, chat: str, fits: Callable[[Turn], bool], created: float) -> Turn | None:
        """The turn of the path that fits; older ones are read until they are older than `created`."""
        while True:
            path = self.state.engine.path(chat)
            found = next((turn for turn in path if fits(turn)), None)
            page = self.state.engine.pages.get(chat)
            if found is not None or page is None or not page.more or path[0].created < created:
                return found
            await self.link.read_older(chat)
            if self.state.engine.path(chat)[0] is path[0]:
                return None

    # --- deleting ---------------------------------------------------------------------------

    def action_delete_message(self, argument: str = "") -> None:
        turn = self._at()
        if turn is None:
            self.say("There is nothing to delete yet.")
            return
        path = self.state.engine.path(turn.chat)
        if any(each.live for each in path[path.index(turn) :]):
            self._say_live("deleted")
            return
        self.attempt(self._delete(turn))

    async def _delete(self, turn: Turn) -> None:
        row = self.transcript.row_of(turn.id)
        last = self.state.engine.path(turn.chat)[-1] is turn
        chat = await self.link.request(commands.DeleteMessage(chat=turn.chat, message=turn.id))
        self._gone.append(Gone(turn, len(self._trash)))
        await self._read_to(chat)
        if not await self._hold_version(turn, row) and self.state.chat == turn.chat:
            self.transcript.follow()
        words = shorten(name(turn.text or turn.thinking), 26)
        followed = " and what followed" if not last else ""
        self.say(f"Deleted “{words}”{followed}. z brings it back.", for_seconds=UNDO)

    def action_undo_delete(self, argument: str = "") -> None:
        """The newest deletion of this screen, be it of a message or of a chat."""
        if self._gone and len(self._trash) <= self._gone[-1].chats_gone:
            self.attempt(self._bring_back(self._gone.pop()))
        else:
            super().action_undo_delete(argument)

    async def _bring_back(self, gone: Gone) -> None:
        turn = gone.turn
        command = commands.DeleteMessage(chat=turn.chat, message=turn.id, restore=True)
        try:
            await self._read_to(await self.link.request(command))
        except (EngineError, EngineLost):
            self._gone.append(gone)
            raise
        await self.show_message(turn.chat, turn.id, turn.created)
        self.say(f"“{shorten(name(turn.text or turn.thinking), 40)}” is back.")

    # --- marks ------------------------------------------------------------------------------

    def action_mark_good(self, argument: str = "") -> None:
        self._mark("good")

    def action_mark_bad(self, argument: str = "") -> None:
        self._mark("bad")

    def _mark(self, mark: specs.Mark) -> None:
        turn = self.transcript.selected or self.newest("assistant")
        if turn is None:
            self.say("There is no reply to mark.")
        elif turn.role != "assistant":
            self.say("Only replies are marked.")
        elif turn.live:
            self.say("This reply is still being written; Esc stops it.")
        else:
            wanted: specs.Mark = "" if turn.mark == mark else mark
            self.mark_reply(turn.chat, turn.id, wanted)

    def mark_reply(
        self, chat: str, message: str, mark: specs.Mark, then: Callable[[specs.Message], None] | None = None
    ) -> None:
        """Mark a reply, or take its mark off; `then` gets it as it is stored."""

        def marked(changed: specs.Message) -> None:
            body = events.MessageChanged(message=changed)
            self.link.mark(apply(self.state.engine, body, time.monotonic()))
            words = f"Marked {mark}. /marked lists all marked replies." if mark else "The mark is off."
            self.say(words, for_seconds=2.5)
            if then is not None:
                then(changed)

        self.ask(commands.MarkReply(chat=chat, message=message, mark=mark), marked)

    # --- tags -------------------------------------------------------------------------------

    def action_about_reply(self, argument: str = "") -> None:
        from tui.modals.about_reply import AboutReply

        reply = self._reply()
        if reply is None:
            self.say("There is no reply to look at yet.")
            return

        def answered(ask_again: bool | None) -> None:
            if ask_again:
                self._reproduce(reply)

        self.app.push_screen(AboutReply(reply, self.state.engine), answered)

    def _reproduce(self, reply: Turn) -> None:
        """Another version by the same model, adapter, settings and seed."""
        if reply.live:
            self.say("This reply is still being written; Esc stops it.")
            return
        self.transcript.follow()
        command = commands.Regenerate(
            chat=reply.chat, message=reply.id, model=reply.model, settings=again(reply)
        )
        self.ask(command, lambda message: self.link.take_messages([message]))

    # --- inside -----------------------------------------------------------------------------

    def _at(self) -> Turn | None:
        """The selected message, else the newest."""
        path = self.state.engine.path(self.state.chat)
        return self.transcript.selected or (path[-1] if path else None)

    def _versioned(self) -> Turn | None:
        """The selected message, else the newest with versions, else the newest."""
        path = self.state.engine.path(self.state.chat)
        several = (turn for turn in reversed(path) if turn.versions > 1)
        return self.transcript.selected or next(several, None) or self._at()

    def _say_live(self, what: str) -> None:
        self.say(f"A reply is being written there. Esc stops it, then it can be {what}.", grave=True)
