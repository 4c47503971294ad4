"""A chat turn: from history to prompt, and from decoded text to thinking and answer."""
