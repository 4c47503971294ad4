"""The speed of the memory, measured without torch."""

from __future__ import annotations

import sys

from engine.models import bandwidth


def test_it_is_a_plausible_number_measured_once() -> None:
    found = bandwidth.memory_bandwidth()
    assert 1e8 < found < 1e13
    assert bandwidth.memory_bandwidth() == found


def test_where_the_c_library_cannot_be_called_it_is_unknown(monkeypatch) -> None:
    bandwidth.memory_bandwidth.cache_clear()

    def refuse(name: object) -> None:
        raise OSError("no library")

    monkeypatch.setattr(bandwidth.ctypes, "CDLL", refuse)
    try:
        assert bandwidth.memory_bandwidth() == 0.0
    finally:
        bandwidth.memory_bandwidth.cache_clear()
    assert "numpy" not in vars(sys.modules[bandwidth.__name__])
