"""Runs on the host's side: their folders, event logs, queue, and the adapters that come of them. No torch."""
