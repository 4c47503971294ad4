"""Models built without memory, on torch's meta device, without what torch reckons there in Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import init
from torch.overrides import TorchFunctionMode

_META = torch.device("meta")
_FILLS = frozenset(
    fill
    for name, fill in vars(init).items()
    if callable(fill) and name.endswith("_") and not name.startswith("_")
)
"""`normal_` and its kin."""


class Outline(TorchFunctionMode):
    """While a model is built on the meta device: nothing is filled, and the CPU counts what is counted.

    Weights come from files, so filling them is for nothing. The few numbers that a model counts, its rotary
    frequencies, torch would reckon by its Python references, which import sympy: 0.3 s of a first load.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        options = kwargs or {}
        if func in _FILLS and "tensor" in options and options["tensor"].is_meta:
            return options["tensor"]
        if func is torch.arange and options.get("device") == _META:
            options = {**options, "device": "cpu"}
        return func(*args, **options)
