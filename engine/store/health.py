"""The statistics of stored replies, newest first, deleted ones too: numbers alone, no text."""

from __future__ import annotations

import sqlite3

import msgspec

from engine.protocol.specs import ReplyStats
from engine.vitals import Told

_decoder = msgspec.json.Decoder(ReplyStats)


def read(connection: sqlite3.Connection, limit: int) -> list[Told]:
    """At most `limit` replies that were generated here."""
    found = connection.execute(
        "SELECT model, stats, created FROM messages WHERE role = 'assistant' AND state = 'done'"
        " AND stats IS NOT NULL AND origin <> 'imported' ORDER BY seq DESC LIMIT ?",
        (limit,),
    )
    return [Told(row["model"], _decoder.decode(row["stats"]), row["created"]) for row in found]
