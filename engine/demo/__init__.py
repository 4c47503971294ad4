"""The embedded demo model: its data, its exam and its files. Nothing here imports torch."""

from __future__ import annotations

from pathlib import Path

MODEL_FOLDER = Path(__file__).parent / "model"
"""A Hugging Face model folder that ships with Qwill and loads without a network."""
