"""What one can do to find and keep chats: search, rename, tag, archive, incognito, export, import."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from engine.api import commands, specs
from tui.format import plural, shorten
from tui.paths import whole_path
from tui.reduce import What
from tui.screens.chat_verbs import ChatVerbs
from tui.text import clean_name
from tui.widgets.lines import name

if TYPE_CHECKING:
    from engine.api import Tally
    from tui.modals.export_chat import Export
    from tui.modals.working import Ended, Tell

TITLE, TAG, TAGS = 200, 40, 20
"""Characters of a title and of a tag, and tags of a chat, at most."""
LISTED = 1000
"""Archived chats that are listed."""
ROOM = 3
"""Lines above a message that was jumped to."""


class KeepVerbs(ChatVerbs):
    """Verbs on where chats are, what they are called, and the files they go to and come from."""

    # --- finding ----------------------------------------------------------------------------

    def action_search(self, argument: str = "") -> None:
        from tui.modals.search import Search

        search = Search(self.link.request, argument)

        def chosen(row: str | None) -> None:
            if row is not None:
                hit = search.hits[row]
                self.attempt(self.jump(hit.chat, hit.message, hit.part))

        self.app.push_screen(search, chosen)

    async def jump(self, chat: str, message: str, part: str = "answer") -> None:
        """Open a chat with this message selected, another version of the path where it needs one.

        Raises what `Link.request` raises.
        """
        self.open_chat(chat)
        await asyncio.sleep(0)  # its own reading begins; one after ours would forget what we read back to
        await self.link.read(chat)
        if part == "title":
            self.composer.focus()
            return
        if not await self._reach(chat, message):
            self.link.take_chat(await self.link.request(commands.ShowVersion(chat=chat, message=message)))
            await self.link.read(chat)
            if not await self._reach(chat, message):
                self.say("This message is not there any more.", grave=True)
                return
        if self.state.chat != chat:
            return  # the reader went on meanwhile
        self.go_to_transcript()
        await self._show(message)
        if part == "thinking" and message in self.transcript.mounted:
            await self.transcript.fold([message], "open")

    async def _show(self, message: str) -> None:
        """Mount a message of the path, wherever it is, and select it."""
        transcript, path = self.transcript, self.state.engine.pages[self.state.chat].path
        await transcript.draw(set(), path_changed=True)
        while transcript.mounted and path.index(message) > path.index(transcript.mounted[-1]):
            if not await transcript.later():
                break
        await transcript.hold(message, ROOM)

    def go_to_transcript(self) -> None:
        """Give the transcript the focus."""
        self.set_focus(self.transcript, scroll_visible=False)

    async def _reach(self, chat: str, message: str) -> bool:
        """Read the path back to this message; False when it does not go through it."""
        while (page := self.state.engine.pages.get(chat)) is not None and message not in page.path:
            before = len(page.path)
            if not page.more:
                return False
            await self.link.read_older(chat)
            if len(page.path) == before:
                await asyncio.sleep(0.02)  # the same stretch is on its way for somebody else
        return page is not None

    # --- names and places -------------------------------------------------------------------

    def action_rename(self, argument: str = "") -> None:
        chat = self._present("rename")
        if chat is None:
            return
        title = shorten(clean_name(argument), TITLE)
        if not title:
            self.composer.put(f"/rename {chat.title}")
            self.composer.focus()
            return

        def renamed(info: specs.ChatInfo) -> None:
            self.link.take_chat(info)
            self.say(f"This chat is called “{shorten(name(info.title), 50)}” now.")

        self.ask(commands.ChangeChat(chat=chat.id, title=title), renamed)

    def action_tag(self, argument: str = "") -> None:
        chat = self._present("tag")
        if chat is None:
            return
        if not argument.strip():
            self._say_tags(chat)
            return

        def tagged(info: specs.ChatInfo) -> None:
            self.link.take_chat(info)
            self._say_tags(info)

        self.ask(commands.ChangeChat(chat=chat.id, tags=retagged(chat.tags, argument)), tagged)

    def action_archive(self, argument: str = "") -> None:
        chat = self._present("archive")
        if chat is None:
            return
        if not chat.saved:
            self.say("An incognito chat is saved nowhere, so it cannot be archived.")
            return

        def archived(info: specs.ChatInfo) -> None:
            self.link.take_chat(info)
            title = shorten(name(info.title), 30)
            if not info.archived:
                self.say(f"“{title}” is back in the list.")
                return
            if self.state.chat == info.id:
                self.open_chat("")
            self.say(
                f"Archived “{title}”. /archived finds it, /archive in it brings it back.", for_seconds=10
            )

        self.ask(commands.ChangeChat(chat=chat.id, archived=not chat.archived), archived)

    def action_archived(self, argument: str = "") -> None:
        self.attempt(self._list_archived())

    async def _list_archived(self) -> None:
        from tui.modals.archived import Archived

        found: commands.ChatList = await self.link.request(commands.ListChats(limit=LISTED, archived=True))
        archived = [chat for chat in found.chats if chat.archived]

        def chosen(chat: str | None) -> None:
            if chat:
                self.open_chat(chat)
                self.composer.focus()

        self.app.push_screen(Archived(archived), chosen)

    def action_incognito(self, argument: str = "") -> None:
        if not self.state.chat and not self.state.blank.saved:
            self.state.blank = replace(self.state.blank, saved=True)
            self.mark(What.ENGINE)
            self.say("The new chat will be saved.")
            return
        self.action_new_chat()
        self.state.blank = replace(self.state.blank, saved=False)
        self.mark(What.ENGINE)
        self.say("Incognito: this chat is saved nowhere. It is gone when the engine ends.")

    # --- files ------------------------------------------------------------------------------

    def action_export(self, argument: str = "") -> None:
        from tui.modals.export_chat import Export, ExportChat, target

        chat = self._present("export")
        if chat is None:
            return
        from engine.api import FORMS, form_of

        typed = argument.strip()
        form = typed if typed in FORMS else form_of(typed)
        if form:
            self._export(chat, Export(form, target("" if typed in FORMS else typed, chat.title, form)))
            return
        if typed:
            self.say(
                f"The ending tells the form: {', '.join(each.ending for each in FORMS.values())}.", grave=True
            )
            return

        def chosen(export: Export | None) -> None:
            if export is not None:
                self._export(chat, export)

        self.app.push_screen(ExportChat(chat.title), chosen)

    def _export(self, chat: specs.ChatInfo, export: Export) -> None:
        from engine.api import save, take_out
        from tui.modals.working import Working

        async def work(tell: Tell) -> Path:
            whole = await take_out(
                self.link.request, chat.id, lambda count: tell(-1, f"{plural(count, 'message')} read")
            )
            tell(-1, "writing …")
            return await asyncio.to_thread(save, export.form, [whole], export.path)

        def ended(how: Ended[Path] | None) -> None:
            if how is None:
                self.say("Stopped; nothing was written.")
            elif how.error is not None:
                self.fail(how.error)
            else:
                self.say(f"This chat is in {name(str(how.result))}.", for_seconds=10)

        self.app.push_screen(Working("Export", work), ended)

    def action_import_chats(self, argument: str = "") -> None:
        from tui.modals.import_chats import ImportChats

        if argument.strip():
            self._import(argument)
            return

        def chosen(path: str | None) -> None:
            if path:
                self._import(path)

        self.app.push_screen(ImportChats(), chosen)

    def _import(self, typed: str) -> None:
        from engine.api import Tally, bring_in
        from tui.modals.working import Working

        so_far = Tally()

        async def work(tell: Tell) -> Tally:
            def told(done: float, tally: Tally) -> None:
                nonlocal so_far
                so_far = tally
                tell(done, f"{plural(tally.chats, 'chat')}, {plural(tally.messages, 'message')}")

            return await bring_in(self.link.request, typed_path(typed), told)

        def ended(how: Ended[Tally] | None) -> None:
            if how is not None and how.error is not None:
                self.fail(how.error)
            else:
                self._imported(so_far if how is None else how.result or so_far, stopped=how is None)

        self.app.push_screen(Working("Import", work), ended)

    def _imported(self, tally: Tally, *, stopped: bool) -> None:
        from tui.modals.import_chats import ImportReport, imported

        if tally.ids:
            self.open_chat(tally.ids[-1])
        if tally.skipped:
            self.app.push_screen(ImportReport(tally))
        elif stopped:
            self.say(f"Stopped. {imported(tally)}")
        else:
            self.say(imported(tally) if tally.chats else "There is no chat in it.", for_seconds=8)

    # --- parts ------------------------------------------------------------------------------

    def _present(self, what: str) -> specs.ChatInfo | None:
        """The chat shown; where there is none yet, that is said."""
        chat = self.state.engine.chats.get(self.state.chat)
        if chat is None:
            self.say(f"There is no chat to {what} yet.")
        return chat

    def _say_tags(self, chat: specs.ChatInfo) -> None:
        tags = " ".join(f"#{name(tag)}" for tag in chat.tags)
        self.say(f"Tags: {tags}. /tag -NAME takes one away." if tags else "No tags. /tag NAME adds one.")


def retagged(tags: tuple[str, ...], typed: str) -> tuple[str, ...]:
    """The tags with what was typed added, or taken away by a minus; a minus alone takes all."""
    kept = dict.fromkeys(tags)
    for word in typed.split():
        tag = clean_name(word.lstrip("-#")).strip()[:TAG]
        if word == "-":
            kept.clear()
        elif word.startswith("-"):
            kept.pop(tag, None)
        elif tag:
            kept[tag] = None
    return tuple(kept)[:TAGS]


def typed_path(typed: str) -> Path:
    """A path as people write it, also in quotes as a file manager pastes it."""
    text = typed.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        text = text[1:-1]
    return whole_path(text)
