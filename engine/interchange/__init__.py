"""Chats of other programs, and ours for them: pure readers and writers that know no store."""
