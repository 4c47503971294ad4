"""Tests that say the same as others in more shapes, or on a larger model: left to `make deep`."""

from __future__ import annotations

import os

import pytest

DEEP = bool(os.environ.get("QWILL_FAULTS"))
deep = pytest.mark.skipif(not DEEP, reason="make deep runs it")
