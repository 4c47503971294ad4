"""Keys of the transcript that the screen acts on: it owns the link, the composer and the dialogs."""

from __future__ import annotations

from textual.message import Message

from tui.widgets.window import Window


class TranscriptVerbs(Window):
    """Each passes its own name on."""

    class Verb(Message, namespace="transcript"):
        """A key for the screen, by the name of its verb."""

        def __init__(self, verb: str) -> None:
            super().__init__()
            self.verb = verb

    def action_read_thought(self) -> None:
        self.post_message(self.Verb("read_thought"))

    def action_raw_text(self) -> None:
        self.post_message(self.Verb("raw_text"))

    def action_code_left(self) -> None:
        self.post_message(self.Verb("code_left"))

    def action_code_right(self) -> None:
        self.post_message(self.Verb("code_right"))

    def action_save_code(self) -> None:
        self.post_message(self.Verb("save_code"))

    def action_copy_message(self) -> None:
        self.post_message(self.Verb("copy_message"))

    def action_copy_chat(self) -> None:
        self.post_message(self.Verb("copy_chat"))

    def action_regenerate(self) -> None:
        self.post_message(self.Verb("regenerate"))

    def action_edit_message(self) -> None:
        self.post_message(self.Verb("edit_message"))

    def action_continue_reply(self) -> None:
        self.post_message(self.Verb("continue_reply"))

    def action_previous_version(self) -> None:
        self.post_message(self.Verb("previous_version"))

    def action_next_version(self) -> None:
        self.post_message(self.Verb("next_version"))

    def action_fork_chat(self) -> None:
        self.post_message(self.Verb("fork_chat"))

    def action_delete_message(self) -> None:
        self.post_message(self.Verb("delete_message"))

    def action_undo_message(self) -> None:
        self.post_message(self.Verb("undo_delete"))

    def action_mark_good(self) -> None:
        self.post_message(self.Verb("mark_good"))

    def action_mark_bad(self) -> None:
        self.post_message(self.Verb("mark_bad"))

    def action_about_reply(self) -> None:
        self.post_message(self.Verb("about_reply"))

    def action_write(self) -> None:
        self.post_message(self.Verb("write"))

    def action_inspect(self) -> None:
        self.post_message(self.Verb("inspect"))

    def action_compare(self) -> None:
        self.post_message(self.Verb("compare"))

    def action_ask_help(self) -> None:
        self.post_message(self.Verb("help"))
