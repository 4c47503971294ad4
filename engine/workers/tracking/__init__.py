"""Trackers: a process of its own reads a run's log and hands its numbers to TensorBoard and its like."""
