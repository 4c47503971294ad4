"""Whether an adapter's matrices and tokenizer go with a base, by headers and small files alone. No torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from engine.models.headers import Broken, read_json, shapes_of, weight_files

PREFIX = "base_model.model."
"""What PEFT writes before a module's own name."""
TOKENIZER = "tokenizer.json"
NAMED = 3
"""Tokens that a sentence names at most."""
Shapes = dict[str, tuple[int, ...]]
T = TypeVar("T")
REMEMBERED = 200
"""Results kept until their files change."""
_known: dict[tuple[str, tuple[tuple[str, int, int], ...]], Any] = {}


def misfit(adapter: Path, weights: str, base: Path, *, strict: bool = False) -> str:
    """Why the adapter does not go with the base; empty when nothing speaks against it.

    `strict`: it must name layers, and the base must have every one of them. Raises Broken.
    """
    return _shape_misfit(_shapes(adapter / weights), base_shapes(base), strict) or tokenizer_misfit(
        adapter, base
    )


def base_shapes(folder: Path) -> Shapes:
    """Name and shape of each tensor of a model. Raises Broken."""
    return {name: shape for file in weight_files(folder) for name, shape in _shapes(file).items()}


def vocabulary_mark(folder: Path) -> str:
    """SHA-256 in hex over which id each token has; empty for a tokenizer of another kind."""
    return _once((folder / TOKENIZER,), _mark)


def tokenizer_misfit(adapter: Path, base: Path) -> str:
    """How a tokenizer that lies with the adapter differs from the base's; empty where it does not."""
    return _once((adapter / TOKENIZER, base / TOKENIZER), _difference)


def modules_of(names: Mapping[str, object]) -> set[str]:
    """The layers that an adapter's tensors belong to, as the base calls them."""
    return {module for name in names if (module := _module(name)) is not None}


def place_in(module: str, base: Mapping[str, object], ending: str = ".weight") -> str | None:
    """The base's name for a layer's tensor: its own, or the only one that ends alike; None where none is."""
    if module + ending in base:
        return module + ending
    tail = module[module.index(".layers.") :] if ".layers." in module else None
    if tail is None:
        return None
    matches = [name for name in base if name.endswith(tail + ending) and "vis" not in name.partition(tail)[0]]
    return matches[0] if len(matches) == 1 else None


def _shape_misfit(ours: Shapes, base: Shapes, strict: bool) -> str:
    modules = modules_of(ours)
    if not modules:
        return "It names no layers" if strict else ""
    places = {module: place_in(module, base) for module in sorted(modules)}
    missing = [module for module, place in places.items() if place is None]
    if missing and (strict or len(missing) == len(modules)):
        return f"The model has no layer {missing[0]}"
    for module, place in places.items():
        why = "" if place is None else _layer_misfit(module, ours, base[place])
        if why:
            return why
    return ""


def _layer_misfit(module: str, ours: Shapes, base: tuple[int, ...]) -> str:
    """What is wrong with the shapes of one layer's matrices."""
    down = ours.get(f"{PREFIX}{module}.lora_A.weight")
    up = ours.get(f"{PREFIX}{module}.lora_B.weight")
    if down is None or up is None or len(base) != 2 or len(down) != 2 or len(up) != 2:
        return ""
    wanted = (up[0], down[1])
    if sorted(wanted) != sorted(base):
        return f"Its {module} is for {wanted[0]}x{wanted[1]} weights, this model's are {base[0]}x{base[1]}"
    if up[1] != down[0]:
        return f"The two matrices of its {module} do not go together ({up[1]} and {down[0]})"
    return ""


def _module(name: str) -> str | None:
    """`model.layers.0.self_attn.q_proj` of PEFT's name for one of its LoRA matrices."""
    for part in (".lora_A.", ".lora_B."):
        head, found, _ = name.partition(part)
        if found and head.startswith(PREFIX):
            return head.removeprefix(PREFIX)
    return None


def _shapes(file: Path) -> Shapes:
    return _once((file,), shapes_of)


def _mark(file: Path) -> str:
    tokens = _tokens(file)
    text = json.dumps(sorted(tokens.items(), key=lambda item: (item[1], item[0])))
    return hashlib.sha256(text.encode()).hexdigest() if tokens else ""


def _difference(first: Path, second: Path) -> str:
    theirs = _tokens(first)
    ours = _tokens(second) if theirs else {}
    if not ours:
        return ""
    extra = [token for token in theirs if token not in ours]
    if extra:
        named = ", ".join(extra[:NAMED])
        return f"Its tokenizer has {len(extra)} tokens that this model's lacks, such as {named}"
    moved = [token for token, place in theirs.items() if ours[token] != place]
    if moved:
        return f"Its tokenizer gives {len(moved)} tokens another number, such as {moved[0]}"
    return ""


def _tokens(file: Path) -> dict[str, int]:
    """Each token's id as tokenizer.json has it; empty where there is none that can be read so."""
    try:
        table = read_json(file)
    except Broken:
        return {}
    model = table.get("model")
    entries = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(entries, dict):
        return {}
    tokens = {str(token): place for token, place in entries.items() if isinstance(place, int)}
    added = table.get("added_tokens")
    for entry in added if isinstance(added, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("id"), int):
            tokens[str(entry.get("content"))] = entry["id"]
    return tokens


def _once(files: tuple[Path, ...], read: Callable[..., T]) -> T:
    """What is read of the files, anew only when one of them has changed."""
    key = (read.__name__, tuple(_state(file) for file in files))
    if key not in _known:
        while len(_known) >= REMEMBERED:
            del _known[next(iter(_known))]
        _known[key] = read(*files)
    found: T = _known[key]
    return found


def _state(file: Path) -> tuple[str, int, int]:
    try:
        status = file.stat()
    except OSError:
        return str(file), 0, 0
    return str(file), status.st_mtime_ns, status.st_size
