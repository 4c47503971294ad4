"""A tiny random model twice: as safetensors for torch, and built by onnxruntime-genai's own builder."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import pytest

from engine.models.discover import find
from engine.protocol.specs import ModelInfo
from tests.support.tiny import tiny_model

_folders: list[tempfile.TemporaryDirectory[str]] = []
"""Removed when the process ends."""


@functools.cache
def tiny_onnx(family: str) -> tuple[ModelInfo, ModelInfo]:
    """The model for torch, and for ONNX Runtime, float32. Skips where the builder is not installed."""
    pytest.importorskip("onnxruntime_genai")
    pytest.importorskip("onnx_ir")
    from onnxruntime_genai.models.builder import create_model, parse_extra_options

    _folders.append(tempfile.TemporaryDirectory(prefix="qwill-onnx-"))
    folder = Path(_folders[-1].name)
    whole, made = tiny_model(folder / "whole", family, hidden_size=64, head_dim=16), folder / "onnx"
    asked = ("", whole.path, str(made), "fp32", "cpu", str(folder / "cache"))
    create_model(*asked, **parse_extra_options(*asked, []))
    return whole, find(str(made), ())
