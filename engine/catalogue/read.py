"""Reads the catalogue: families.toml as one entry a model, each with what it takes from its family."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec

from engine.models.shape import Size
from engine.protocol.fit import Shape
from engine.protocol.specs import ThinkingKind

FILE = Path(__file__).with_name("families.toml")
Use = Literal["chat", "maths", "code", "vision", "small"]
"""What a model is good for; `small`: runs on small devices."""
Openness = Literal["weights", "data", "training", "evaluation"]
"""What was published: the weights, the training data, the code of the training and of the evaluation."""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One model by name. Counts of parameters; what was not certain is empty or 0."""

    id: str
    """On the Hugging Face hub."""
    family: str
    maker: str
    model_type: str
    released: str
    """Year and month, `2025-04`."""
    licence: str
    parameters: int
    thinking: ThinkingKind
    use: tuple[Use, ...]
    strengths: str
    open: tuple[Openness, ...] = ("weights",)
    active: int = 0
    """That one token passes through; 0 means all of them."""
    experts: int = 0
    tower: int = 0
    """Of the vision part, counted in `parameters`."""
    context: int = 0
    languages: str = ""
    """Names, or a count as published."""
    gated: bool = False
    """Whether the hub asks to accept the licence first."""
    implemented: bool = True
    """Whether the transformers that Qwill pins knows `model_type`."""
    shape: Shape | None = None

    @property
    def name(self) -> str:
        """The id without its maker."""
        return self.id.rpartition("/")[2]

    @property
    def size(self) -> Size:
        """What an estimate needs."""
        return Size(
            self.name, self.parameters, self.active, self.experts, self.tower, self.context, self.shape
        )


@cache
def read_catalogue(path: Path = FILE) -> tuple[Entry, ...]:
    """Every model, families in the file's order. Raises ValueError when the file is not what it should be."""
    return tuple(entries(tomllib.loads(path.read_text("utf-8"))))


def entries(table: dict[str, Any]) -> list[Entry]:
    """The entries of a parsed catalogue. Raises ValueError that names the model at fault."""
    found: list[Entry] = []
    for family in table.get("family", []):
        shared = {key: value for key, value in family.items() if key not in ("name", "model")}
        for model in family.get("model", []):
            try:
                found.append(msgspec.convert(shared | model | {"family": family.get("name")}, Entry))
            except msgspec.ValidationError as error:
                raise ValueError(f"{model.get('id', 'a model without id')}: {error}") from error
    return found


def entry_of(id: str) -> Entry | None:  # noqa: A002
    """The entry of a hub id, whatever its case."""
    return next((entry for entry in read_catalogue() if entry.id.lower() == id.lower()), None)
