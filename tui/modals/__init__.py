"""Dialogs over a screen; each returns a value."""
