"""Import this before transformers: it leaves out what one device that never compiles has no use for.

transformers imports torch.distributed.tensor wherever torch was built with it, torch._dynamo for the
decorators of kernels that it may compile, and reads its folder of models twice. Torch's own functions
import torch._dynamo to be shielded from it. Together that is a third of the time until a model is ready.
"""

from __future__ import annotations

import gc
import importlib
import inspect
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any
from unittest.mock import patch

import torch
from torch._compile import _disable_dynamo

log = logging.getLogger(__name__)
_MODELLING = ("transformers.modeling_utils", "transformers.masking_utils")
_TRACED = "torch._dynamo._trace_wrapped_higher_order_op"
_DECORATORS = ("allow_in_graph", "assume_constant_result", "disable")


def import_modelling() -> None:
    """Import what transformers builds models with; all that it asks for where the short way fails."""
    if not sys.modules.keys().isdisjoint({"torch._dynamo", *_MODELLING}):
        return
    # As in a torch built without it, which transformers and peft know how to live with.
    torch.distributed.is_available = lambda: False
    try:
        with _models_read_once(), _without_compiler():
            for name in _MODELLING:
                importlib.import_module(name)
        _unshield()
    except (ImportError, AttributeError, KeyError):  # another transformers or torch than we know
        log.warning("Importing transformers whole, which takes longer", exc_info=True)


@contextmanager
def _models_read_once() -> Iterator[None]:
    """`transformers.models` lists itself as `transformers` just did."""
    import transformers
    from transformers.utils import import_utils

    listed = {
        name.removeprefix("models."): set(contents)
        for name, contents in vars(transformers)["_import_structure"].items()
        if name.startswith("models.")
    }
    define = import_utils.define_import_structure

    def known(path: str, prefix: str | None = None) -> Any:
        own = prefix is None and Path(path).parent.name == "models" and Path(path).name == "__init__.py"
        return {frozenset(): listed} if own else define(path, prefix)

    with patch.object(import_utils, "define_import_structure", known):
        yield


@contextmanager
def _without_compiler() -> Iterator[None]:
    """Decorators of torch._dynamo and torch.compiler leave a function as it is."""
    nothing: dict[str, Any] = dict.fromkeys(_DECORATORS, _undecorated)
    dynamo = _module("torch._dynamo", **nothing)
    traced = _module(_TRACED, TransformGetItemToIndex=_later(_TRACED, "TransformGetItemToIndex"))
    sys.modules.update({dynamo.__name__: dynamo, traced.__name__: traced})
    try:
        with patch.dict(vars(torch), _dynamo=dynamo), patch.multiple(torch.compiler, **nothing):
            yield
    finally:  # whoever asks for the compiler from now on gets the real one
        del sys.modules[dynamo.__name__], sys.modules[traced.__name__]


def _unshield() -> None:
    """Tell torch's functions that nothing compiles them, which they would ask torch._dynamo to tell."""
    shield = _disable_dynamo(_undecorated).__code__
    for item in gc.get_objects():
        if type(item) is FunctionType and item.__code__ is shield:
            shielded = inspect.getclosurevars(item).nonlocals["fn"]
            shielded.__dynamo_disable = shielded


def _module(name: str, **contents: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(contents)
    return module


def _undecorated(fn: Any = None, *_args: object, **_options: object) -> Any:
    """A decorator that leaves its function as it is, with or without options."""
    return fn if fn is not None else _undecorated


def _later(module: str, name: str) -> Callable[..., Any]:
    """The real thing, imported by the first call."""
    return lambda *args, **kwargs: getattr(importlib.import_module(module), name)(*args, **kwargs)


import_modelling()
