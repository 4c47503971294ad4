"""What one does to find and keep chats: names, tags, the archive, incognito, files."""

from __future__ import annotations

from tui.actions.kinds import Action

ACTIONS: tuple[Action, ...] = (
    Action(
        "rename",
        "Rename this chat",
        "Gives this chat another title; alone it puts the present one into the composer to be changed.",
        "Chats",
        slash="rename",
        takes="[TITLE]",
    ),
    Action(
        "tag",
        "Tags of this chat",
        "Adds tags to this chat, `/tag -NAME` takes one away, `/tag -` all; search finds chats by them.",
        "Chats",
        slash="tag",
        takes="[NAMES]",
    ),
    Action(
        "archive",
        "Archive this chat",
        "Takes this chat out of the list, or brings an archived one back. Search and `/archived` find it.",
        "Chats",
        slash="archive",
    ),
    Action(
        "archived",
        "Archived chats",
        "Lists the archived chats, and opens one.",
        "Chats",
        slash="archived",
    ),
    Action(
        "incognito",
        "Incognito chat",
        "Starts a chat that is saved nowhere: it lives in the engine's memory and is gone with it.",
        "Chats",
        slash="incognito",
    ),
    Action(
        "export",
        "Export this chat",
        "Writes this chat as Markdown, as JSON with all versions, or as training data.",
        "Chats",
        slash="export",
        takes="[FILE]",
    ),
    Action(
        "import_chats",
        "Import chats",
        "Reads chats of Qwill, ChatGPT, LM Studio, oterm, ShareGPT, or messages as JSON.",
        "Chats",
        slash="import",
        takes="[FILE]",
    ),
)
