"""Datasets and the specs of runs: read, checked, split. No torch."""
