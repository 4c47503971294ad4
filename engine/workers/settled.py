"""The settings as one reply uses them."""

from __future__ import annotations

from msgspec.structs import replace

from engine.backend import ReplySpec
from engine.protocol.specs import ChatSettings
from engine.workers.defaults import resolve
from engine.workers.loaded import LoadedModel
from engine.workers.prompt import switched


def settled(spec: ReplySpec, loaded: LoadedModel) -> ChatSettings:
    """With `/think` in the message, the model's defaults, and a seed."""
    settings = switched(spec.turns, spec.settings)
    defaults = loaded.defaults.thinking if settings.think else loaded.defaults.plain
    return replace(settings, sampling=resolve(settings.sampling, defaults))
