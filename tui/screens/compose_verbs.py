"""What one can do with what is being written: attach files, open the editor, take a waiting prompt back."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from engine.api import EngineError, EngineLost, ErrorInfo, commands, specs
from tui.dirty import What
from tui.screens.keymap_verbs import KeymapVerbs
from tui.screens.screen_verbs import ScreenVerbs
from tui.state import Turn
from tui.widgets.lines import name

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.timer import Timer

    from tui.path_search import Found

MOST_TOGETHER = 640_000
"""Bytes of all files of one message: it goes to the engine as one line of at most 1 MiB."""
QUIET = 1.5
"""Seconds without a key after which a draft is kept."""


class ComposeVerbs(ScreenVerbs, KeymapVerbs):
    """Verbs on the composer and what is attached to it."""

    _counts: dict[tuple[str, specs.Attachment], commands.TokenCount]
    """Tokens by model and file."""
    _detached: list[specs.Attachment]
    _keeping: Timer | None = None

    # --- files ------------------------------------------------------------------------------

    def action_file(self, argument: str = "") -> None:
        path = argument.strip().strip("\"'")
        if not path:
            self.prompt_command("file", "the path of a text file")
            return
        self.attach(path)

    def attach(self, path: str) -> None:
        """Attach a file's text to the next message of the chat shown."""
        from tui.attach import read_file

        chat = self.state.chat

        async def read() -> None:
            file = await read_file(self.link.request, path, self.state.engine.host)
            files = tuple(each for each in self.state.files.get(chat, ()) if each.name != file.name)
            held = sum(len(each.text.encode()) for each in (*files, file))
            if held > MOST_TOGETHER:
                self.say(
                    f"{name(file.name)} is too much: one message takes {MOST_TOGETHER // 1000} kB of files.",
                    grave=True,
                )
                return
            self._set_files(chat, (*files, file))

        self.attempt(read(), failed=lambda info: self.say(name(info.sentence()), grave=True))

    async def find_paths(self, typed: str) -> list[Found]:
        """What a path could become, here or, behind `box:`, on the engine's machine."""
        from tui.path_search_there import find_either

        return await find_either(self.link.request, typed, self.state.engine.host)

    def action_detach(self, argument: str = "") -> None:
        """Take a file away: the one named, else the newest; `undo` brings the last one back."""
        chat, wanted = self.state.chat, argument.strip()
        files = self.state.files.get(chat, ())
        if wanted == "undo" and self._detached:
            self._set_files(chat, (*files, self._detached.pop()))
            return
        gone = next((each for each in reversed(files) if wanted in ("", each.name)), None)
        if gone is None:
            self.say("No file of that name is attached." if wanted else "Nothing is attached.")
            return
        self._detached.append(gone)
        self._set_files(chat, tuple(each for each in files if each is not gone))
        self.say(f"{name(gone.name)} is no longer attached. /detach undo brings it back.")

    def show_files(self, *, armed: bool = False) -> None:
        """Bring the line above the composer in line with the state, and have files counted."""
        files = self.state.files.get(self.state.chat, ())
        model = self.state.model_id()
        counts = [self._counts.get((model, each)) for each in files]
        shown = [
            (each.name, len(each.text.encode()), count.tokens if count else None)
            for each, count in zip(files, counts, strict=True)
        ]
        guessed = any(count is not None and count.estimated for count in counts)
        pictures = self.state.images.get(self.state.chat, ())
        rows = [*shown, *((each.name, 0, f"{each.width}×{each.height}") for each in pictures)]
        self.box.attachments.show(rows, armed=armed, estimated=guessed)
        for each in files:
            if (model, each) not in self._counts:
                self.count(each.text, partial(self._counted, model, each))

    def count(self, text: str, then: Callable[[commands.TokenCount], None]) -> None:
        """Tokens of a text for the model that answers next; nothing happens where nobody can tell."""
        if not self.link.open:
            return

        def told(answer: object) -> None:
            if isinstance(answer, commands.TokenCount):
                then(answer)

        model = self.state.model_id()
        self.ask(commands.CountTokens(model=model, text=text), told, failed=lambda info: None)

    def _counted(self, model: str, file: specs.Attachment, count: commands.TokenCount) -> None:
        self._counts[model, file] = count
        self.show_files(armed=self.box.attachments.armed)

    def _set_files(self, chat: str, files: tuple[specs.Attachment, ...]) -> None:
        self.state.files[chat] = files
        if chat == self.state.chat:
            self.show_files()
            self.mark(What.SPEED)  # the context meter has a part in it
        self._keep_files(chat)

    def _keep_files(self, chat: str) -> None:
        from tui.attach import Kept, keep

        known = self.state.engine.chats.get(chat)
        if not (known.saved if known is not None else chat or self.state.blank.saved):
            return  # such a chat leaves nothing on the disk
        files, text = self.state.files.get(chat, ()), "" if chat else self.state.drafts.get("", "")
        images = self.state.images.get(chat, ())
        here = bool(files or images or text) and not self.state.chat
        keep(self._kept_as(chat), Kept(files, text, here, images))

    def _kept_as(self, chat: str) -> str:
        """The name of what is kept of a chat; the one that does not exist yet has one at each place."""
        host = self.state.engine.host
        return chat or (f"new-{host.encode().hex()[:56]}" if host else "")

    # --- drafts -----------------------------------------------------------------------------

    def open_chat(self, chat: str) -> None:
        left = self.state.chat
        self.fetch_kept(chat)
        super().open_chat(chat)
        self.show_files()
        if not left and chat and (self.state.files.get(left) or self.state.drafts.get(left)):
            self._keep_files(left)

    def fetch_kept(self, chat: str) -> None:
        """What was attached before the program was left, once a chat."""
        if chat in self.state.files:
            return
        from tui.attach import recall

        kept = recall(self._kept_as(chat))
        self.state.files[chat] = kept.files
        self.state.images[chat] = kept.images
        if not chat and kept.text:
            self.state.drafts.setdefault(chat, kept.text)

    def restore_new(self) -> None:
        """At the start: back to the chat that did not exist yet, where something was begun in it."""
        from tui.attach import recall

        kept = recall(self._kept_as(""))
        if kept.here and not self.state.chat and not self.composer.text:
            self.fetch_kept("")
            self.composer.put(kept.text)
            self.show_files()

    def keep_draft(self) -> None:
        before = self.state.drafts.get("", "")
        super().keep_draft()
        if not self.state.chat and self.state.drafts.get("", "") != before:
            self._keep_files("")

    def keep_draft_soon(self) -> None:
        """Keep it once nothing was typed for a while."""
        if self._keeping is not None:
            self._keeping.stop()
        self._keeping = self.set_timer(QUIET, self.keep_draft)

    async def keep_before_leaving(self) -> None:
        """Keep the draft now; an engine that does not answer at once is not waited for."""
        chat, text = self.state.chat, self.composer.whole
        if self._keeping is not None:
            self._keeping.stop()
        if not chat:
            self.keep_draft()
            return
        known = self.state.engine.chats.get(chat)
        if not self.link.open or self.state.drafts.get(chat, known.draft if known else "") == text:
            return
        try:
            await asyncio.wait_for(self.link.request(commands.ChangeChat(chat=chat, draft=text)), 0.5)
        except (EngineError, EngineLost, TimeoutError):
            pass

    def send(self, text: str) -> None:
        chat = self.state.chat
        had = bool(self.state.files.get(chat) or self.state.images.get(chat))
        super().send(text)
        if had or not chat:
            self._keep_files(chat)
        self.show_files()

    def _not_sent(self, info: ErrorInfo) -> None:
        back = self.state.pending[0] if self.state.pending and not self.composer.text else None
        super()._not_sent(info)
        if back is not None and back.files and back not in self.state.pending:
            self._set_files(self.state.chat, back.files)

    # --- the editor -------------------------------------------------------------------------

    def action_editor(self, argument: str = "") -> None:
        from tui.editor import command, edit

        self.keep_draft()
        text, failed = self.composer.whole, None
        try:
            editor = command()
            with self.app.suspend():
                try:
                    text = edit(text, editor)
                except EngineError as error:  # here: an error that passes `suspend` leaves the terminal so
                    failed = error
        except EngineError as error:
            failed = error
        except SuspendNotSupported:
            self.say("This terminal cannot be handed to an editor.", grave=True)
        if failed is not None:
            self.say(name(failed.info.sentence()), grave=True, for_seconds=8)
        elif text != self.composer.whole:
            self.composer.put(text)
        self.refresh(layout=True)
        self.go_to(self.composer)

    # --- what waits -------------------------------------------------------------------------

    def waiting(self) -> Turn | None:
        """The newest prompt of the chat shown whose reply has not begun."""
        path = self.state.engine.path(self.state.chat)
        if len(path) < 2 or path[-1].state != "queued" or path[-2].role != "user":
            return None
        others = any(turn.live and turn.id != path[-1].id for turn in self.state.engine.turns.values())
        return path[-2] if others else None

    def take_back(self) -> bool:
        """Take the newest waiting prompt back into the empty composer; False when none waits."""
        here = [each for each in self.state.pending if each.chat == self.state.chat]
        if here and not self.link.open:
            newest = here[-1]
            self.state.pending.remove(newest)
            self.outbox.keep(self.state)
            self.mark(What.PATH)
            self._give_back(newest.text, newest.files, newest.images)
            return True
        turn = self.waiting()
        if turn is None or not self.link.open:
            return False
        self.attempt(self._withdraw(turn))
        return True

    def action_take_back(self, argument: str = "") -> None:
        if self.composer.text.strip():
            self.say("The composer must be empty for that.")
        elif not self.take_back():
            self.say("No prompt waits.")

    def action_leave(self, argument: str = "") -> None:
        """On a prompt that waits: take that back; else as ever."""
        selected, turn = self.transcript.selected, self.waiting()
        if selected is None or turn is None or self.focused is self.composer:
            super().action_leave(argument)
        elif selected.id == turn.id or selected.parent == turn.id:
            self.transcript.select("")
            self.take_back()
        else:
            super().action_leave(argument)

    async def _withdraw(self, turn: Turn) -> None:
        """Stop the reply that waits, take both off the chat, and give the text back."""
        reply = self.state.engine.path(self.state.chat)[-1]
        await self.link.request(commands.StopReply(message=reply.id))
        self._give_back(turn.text, turn.files, turn.images)
        try:
            await self.link.request(commands.DeleteMessage(chat=turn.chat, message=turn.id))
        except (EngineError, EngineLost):
            return  # it stays in the chat, stopped
        await self.link.read(turn.chat)

    def _give_back(
        self, text: str, files: tuple[specs.Attachment, ...], images: tuple[specs.ImageRef, ...] = ()
    ) -> None:
        if self.composer.text.strip():
            text = f"{text}\n\n{self.composer.whole}"
        self.composer.put(text)
        if images:
            self.state.images[self.state.chat] = images
        if files or images:
            self._set_files(self.state.chat, files)
        self.go_to(self.composer)
        self.say("Taken back; Enter sends it again.")

    # --- what the composer says -------------------------------------------------------------

    def count_paste(self, chip: str) -> None:
        """A big paste: tell its tokens on the chip."""
        pastes = self.composer.pastes

        def counted(count: commands.TokenCount) -> None:
            self.composer.relabel(chip, pastes.counted(chip, count.tokens, estimated=count.estimated))

        self.count(pastes.text(chip), counted)

    def backspace_at_start(self) -> None:
        """Twice at the very start takes the newest file away."""
        files = self.state.files.get(self.state.chat, ())
        if not files:
            return
        if self.box.attachments.armed:
            self.action_detach()
        else:
            self.show_files(armed=True)
            self.say(f"Backspace again takes {name(files[-1].name)} away.", for_seconds=3)

    def disarm(self) -> None:
        """Another key than Backspace came."""
        if self.box.attachments.armed:
            self.show_files()
