"""The archived chats; Enter opens one."""

from __future__ import annotations

from engine.api import specs
from tui.format import clock
from tui.modals.picker import Choice, Picker
from tui.widgets.lines import line, name


class Archived(Picker):
    """Dismisses with the chat's id."""

    def __init__(self, chats: list[specs.ChatInfo]) -> None:
        super().__init__(
            "Archived chats",
            [_choice(chat) for chat in chats],
            placeholder="Part of a title or tag",
            empty="No archived chat. /archive takes the chat that is open out of the list.",
        )


def _choice(chat: specs.ChatInfo) -> Choice:
    tags = " ".join(f"#{name(tag)}" for tag in chat.tags)
    right = line((f"{tags}  " if tags else "", "$accent"), (clock(chat.updated), "$thought"))
    return Choice(chat.id, line(name(chat.title) or "chat without a title"), right, f"{chat.title} {tags}")
