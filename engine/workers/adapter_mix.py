"""Several LoRA adapters on one model: what they may not hold, and what each is called there."""

from __future__ import annotations

from typing import Any

from engine.protocol.errors import EngineError, fault
from engine.protocol.runs import AdapterInfo

_BEYOND = {
    "use_dora": "DoRA, which learns the length of each row of the whole matrix",
    "modules_to_save": "whole retrained layers",
    "trainable_token_indices": "retrained tokens",
    "target_parameters": "parameters of experts",
}
"""Settings of an adapter whose part is no sum of matrices, in words."""


def slot(place: int) -> str:
    """PEFT's name for the adapter at this place of a mix, from 0; alone it is the default one."""
    return "default" if place == 0 else f"beside{place}"


def refuse_unmixable(adapter: AdapterInfo, config: dict[str, Any]) -> None:
    """Raises EngineError `adapter_unmixable` when it replaces weights instead of adding to them."""
    found = [words for key, words in _BEYOND.items() if config.get(key)]
    if config.get("bias", "none") != "none":
        found.append("retrained biases")
    if found:
        raise fault(
            "adapter_unmixable",
            f"{adapter.name} cannot answer together with other adapters",
            f"It has {found[0]}, and only changes of plain LoRA can be added up",
            "Use it alone, or leave it out",
        )


def broken(adapter: AdapterInfo, detail: str) -> EngineError:
    """The EngineError `adapter_broken` of an adapter that a model has no place for."""
    return fault(
        "adapter_broken",
        f"The adapter {adapter.name} cannot be put on this model",
        detail,
        "Turn the adapter off, or train it again on this base",
    )
