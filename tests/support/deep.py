"""Tests that say the same as others in more shapes, or on a larger model: left to `make deep`."""

from __future__ import annotations

import os

import pytest

deep = pytest.mark.skipif(not os.environ.get("QWILL_FAULTS"), reason="make deep runs it")
