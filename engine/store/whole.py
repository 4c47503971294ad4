"""Whole chats: reading one in storage order, and putting in one from elsewhere so that it appears at once."""

from __future__ import annotations

import hashlib
import sqlite3

from msgspec.structs import replace

from engine.protocol.errors import EngineError, fault
from engine.protocol.specs import LIVE_STATES, ChatInfo, Message
from engine.store import rows

STAGED = 0.0
"""`deleted` of a chat that is still coming in: out of sight, and dropped when an engine starts."""
TREE = " WHERE m.chat = ? AND m.deleted IS NULL AND m.seq > ? ORDER BY m.seq LIMIT ?"


def new_message_id(chat: str, message: str) -> str:
    """What a message of elsewhere is called in its new chat; the same for every page."""
    return hashlib.blake2b(f"{chat}/{message}".encode(), digest_size=8).hexdigest()


def stage(db: sqlite3.Connection, info: ChatInfo) -> None:
    """Begin a chat that nobody sees yet."""
    row = rows.chat_row(replace(info, head=None))
    db.execute(f"INSERT INTO chats ({rows.CHAT_COLUMNS}) VALUES ({rows.CHAT_VALUES})", row)
    db.execute("UPDATE chats SET deleted = ? WHERE id = ?", (STAGED, info.id))


def put(db: sqlite3.Connection, chat: str, messages: tuple[Message, ...]) -> None:
    """Add messages under their new ids. Raises EngineError `chat_unknown` or `messages_unfit`."""
    if not db.execute("SELECT 1 FROM chats WHERE id = ? AND deleted = ?", (chat, STAGED)).fetchone():
        raise fault("chat_unknown", "No chat of this id is being put in", remedy="Begin the import again")
    try:
        for message in messages:
            row = rows.message_row(_renamed(chat, message))
            db.execute(f"INSERT INTO messages ({rows.MESSAGE_COLUMNS}) VALUES ({rows.MESSAGE_VALUES})", row)
    except sqlite3.IntegrityError as error:
        raise _unfit(str(error)) from error


def show(db: sqlite3.Connection, chat: str, head: str | None) -> None:
    """The last page is in: from now on the chat is there. Raises EngineError `messages_unfit`."""
    wanted = new_message_id(chat, head) if head is not None else None
    found = db.execute(
        "SELECT id FROM messages WHERE chat = ?1 AND (?2 IS NULL OR id = ?2) ORDER BY seq DESC LIMIT 1",
        (chat, wanted),
    ).fetchone()
    if found is None:
        raise _unfit("its newest message is not among those that came")
    db.execute("UPDATE chats SET deleted = NULL, head = ? WHERE id = ?", (found[0], chat))


def drop_staged(db: sqlite3.Connection) -> None:
    """Forget chats that never came in whole."""
    for (chat,) in db.execute("SELECT id FROM chats WHERE deleted = ?", (STAGED,)).fetchall():
        db.execute("DELETE FROM messages WHERE chat = ?", (chat,))
        db.execute("DELETE FROM chats WHERE id = ?", (chat,))


def _renamed(chat: str, message: Message) -> Message:
    live = message.state in LIVE_STATES
    return replace(
        message,
        id=new_message_id(chat, message.id),
        chat=chat,
        parent=None if message.parent is None else new_message_id(chat, message.parent),
        source=None if message.source is None else new_message_id(chat, message.source),
        state="done",
        finish="interrupted" if live else message.finish,
    )


def _unfit(why: str) -> EngineError:
    return fault(
        "messages_unfit",
        "The messages of a chat do not fit together",
        why,
        "Each message must come once, after the one that it answers",
    )
