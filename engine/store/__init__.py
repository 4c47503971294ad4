"""Chats on disk: one SQLite file, its schema and its migrations."""

from __future__ import annotations

from engine.store.store import Store

__all__ = ["Store"]
