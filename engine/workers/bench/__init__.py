"""Measurements of speed, each in a process of its own: `python -m engine.workers.bench`, a job on stdin."""
