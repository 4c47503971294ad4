"""Adapters for other programs: merged folders, GGUF files, and the checks that they say the same."""
