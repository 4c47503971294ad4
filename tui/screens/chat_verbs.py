"""What one can do with chats: open, start, walk, search, delete, set up."""

from __future__ import annotations

import msgspec

from engine.api import EngineError, commands, specs
from tui.format import plural, shorten
from tui.reduce import Dirty, What, open_page
from tui.screens.thought_verbs import ThoughtVerbs
from tui.state import Blank
from tui.widgets.lines import name


class ChatVerbs(ThoughtVerbs):
    """Verbs on chats and their settings."""

    _trash: list[specs.ChatInfo]
    """Chats deleted on this screen, the newest last."""

    def open_chat(self, chat: str) -> None:
        """Show a chat; what was typed for the other one is kept for it."""
        if chat == self.state.chat:
            return
        self.keep_draft()
        self.keep_view()
        if not self.state.chat:
            self.state.leave_blank()
        self.state.chat = chat
        open_page(self.state.engine, chat)
        known = self.state.engine.chats.get(chat)
        self.composer.put(self.state.drafts.get(chat, known.draft if known else ""))
        self.link.mark({Dirty(What.PATH, chat), Dirty(What.CHATS), Dirty(What.ENGINE), Dirty(What.SPEED)})
        if chat:
            self.attempt(self.link.read(chat))

    def keep_draft(self) -> None:
        """Remember what is typed but not sent, on both sides."""
        chat, text = self.state.chat, self.composer.whole
        known = self.state.engine.chats.get(chat)
        if self.state.drafts.get(chat, known.draft if known else "") == text:
            return
        self.state.drafts[chat] = text
        if chat and self.link.open:
            self.ask(commands.ChangeChat(chat=chat, draft=text), failed=lambda info: None)

    def action_new_chat(self, argument: str = "") -> None:
        blank = Blank(self.state.settings(), self.state.model_id())
        if not self.state.chat and self.state.leave_blank():
            self.mark(What.PATH)
        self.state.blank = blank
        self.open_chat("")
        self.composer.focus()

    def action_previous_chat(self, argument: str = "") -> None:
        self._walk(-1)

    def action_next_chat(self, argument: str = "") -> None:
        self._walk(1)

    def action_delete_chat(self, argument: str = "") -> None:
        self.delete_chat(self.state.chat)

    def delete_chat(self, chat_id: str) -> None:
        """Move a chat to the trash at once; nothing asks, for it can be undone."""
        chat = self.state.engine.chats.get(chat_id)
        if chat is None:
            self.say("There is no chat to delete yet.")
            return

        def deleted(_: object) -> None:
            self._trash.append(chat)
            self.state.engine.chats.pop(chat_id, None)
            if self.state.chat == chat_id:
                self.state.chat = ""
                self.composer.put("")
            self.link.mark({Dirty(What.CHATS), Dirty(What.PATH, chat_id)})
            self.say(f"Deleted “{shorten(name(chat.title), 30)}”. z or /undo brings it back.", for_seconds=10)

        self.ask(commands.DeleteChat(chat=chat_id), deleted)

    def action_undo_delete(self, argument: str = "") -> None:
        if not self._trash:
            self.say("Nothing was deleted here.")
            return
        chat = self._trash.pop()

        def restored(_: object) -> None:
            self.link.take_chat(chat)
            self.open_chat(chat.id)
            self.say(f"“{shorten(name(chat.title), 40)}” is back.")

        self.ask(commands.DeleteChat(chat=chat.id, restore=True), restored)

    def action_toggle_think(self, argument: str = "") -> None:
        self._set_think(not self.state.settings().think)

    def action_think(self, argument: str = "") -> None:
        self._set_think(True)

    def action_no_think(self, argument: str = "") -> None:
        self._set_think(False)

    def action_budget(self, argument: str = "") -> None:
        word = argument.replace(",", "").strip().lower()
        if word in ("off", "none", "0"):
            self.change_settings(msgspec.structs.replace(self.state.settings(), think_budget=None))
            self.say("Thinking has no cap now.")
        elif word.isdecimal():
            self.change_settings(msgspec.structs.replace(self.state.settings(), think_budget=int(word)))
            self.say(f"Thinking ends after {plural(int(word), 'token')}.")
        else:
            self.prompt_command("budget", "a number of tokens, or off")

    def action_system(self, argument: str = "") -> None:
        if not argument:
            present = self.state.settings().system
            self.composer.put(f"/system {present}")
            self.composer.focus()
            return
        text = "" if argument == "-" else argument
        self.change_settings(msgspec.structs.replace(self.state.settings(), system=text))
        self.say(
            "The system prompt is set; it holds from the next message on." if text else "No system prompt."
        )

    def action_set(self, argument: str = "") -> None:
        from tui.sampling import change

        field, _, value = argument.partition(" ")
        if not value.strip():
            self.prompt_command("set", "a name and a value, such as temperature 0.7")
            return
        settings = self.state.settings()
        try:
            sampling = change(settings.sampling, field, value.strip())
        except EngineError as error:
            self.say(error.info.sentence(), grave=True)
            return
        self.change_settings(msgspec.structs.replace(settings, sampling=sampling))
        self.say(f"{field} is {value.strip()} from the next message on.")

    def prompt_command(self, command: str, wanted: str) -> None:
        """A command that lacks its argument goes into the composer to be finished."""
        self.composer.put(f"/{command} ")
        self.composer.focus()
        self.say(f"/{command} takes {wanted}.")

    def _set_think(self, think: bool) -> None:
        model = self.state.model()
        if model is not None and model.thinking != "switchable":
            word = "always thinks" if model.thinking == "always" else "does not think"
            self.say(f"{name(model.name)} {word}; there is nothing to switch.")
            return
        self.change_settings(msgspec.structs.replace(self.state.settings(), think=think))
        self.say(f"Thinking is {'on' if think else 'off'} from the next message on.", for_seconds=2.5)

    def _walk(self, by: int) -> None:
        chats = [chat.id for chat in self.state.engine.recent()]
        if not chats:
            return
        if self.state.chat not in chats:
            self.open_chat(chats[0])
            return
        self.open_chat(chats[min(len(chats) - 1, max(0, chats.index(self.state.chat) + by))])
