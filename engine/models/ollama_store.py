"""Ollama's models, read in place: manifests that name blobs by their hash. Nothing is copied or changed."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from engine.models.advised import advised
from engine.protocol.specs import Sampling

MODEL = "application/vnd.ollama.image.model"
PARAMS = "application/vnd.ollama.image.params"
MANIFEST_LIMIT = 1 << 20
"""Bytes of a manifest or of a parameters file at most."""
MANIFESTS = 1000
"""Manifests read of one store."""
DEPTH = 6
"""Folders below `manifests`: registry, owner, model, and what a registry puts between."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SYSTEM = Path("/usr/share/ollama/.ollama/models")


class Stored(NamedTuple):
    """One tag of the store."""

    name: str
    """As `ollama list` says it: `qwen3:8b`."""
    file: Path
    defaults: Sampling
    """What its parameters set."""


def ollama_stores() -> list[Path]:
    """OLLAMA_MODELS, else the person's own store and the system's."""
    if named := os.environ.get("OLLAMA_MODELS"):
        return [Path(named).expanduser()]
    return [Path("~/.ollama/models").expanduser(), _SYSTEM]


def stored_models(store: Path) -> list[Stored]:
    """Every tag whose weights are one GGUF file, by name; manifests that are not sound are passed over."""
    found = [stored for file in _manifests(store / "manifests") if (stored := _stored(store, file))]
    # A tag with a version says more than `latest`, which is mostly the same file.
    return sorted(found, key=lambda each: (each.name.endswith(":latest"), each.name))


def _manifests(root: Path) -> Iterator[Path]:
    """Files at or below, the shallow ones first; links to folders are not followed."""
    budget, level = MANIFESTS, [root]
    for _ in range(DEPTH):
        further: list[Path] = []
        for folder in level:
            for entry in _entries(folder):
                budget -= 1
                if budget < 0:
                    return
                if entry.is_dir(follow_symlinks=False):
                    further.append(Path(entry.path))
                elif entry.is_file():
                    yield Path(entry.path)
        level = further


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if _NAME.fullmatch(entry.name)]
    except OSError:
        return []


def _stored(store: Path, manifest: Path) -> Stored | None:
    layers = _read(manifest).get("layers")
    if not isinstance(layers, list):
        return None
    models = [blob for layer in layers if (blob := _blob(store, layer, MODEL)) is not None]
    if len(models) != 1 or not models[0].is_file():
        return None
    sets = [blob for layer in layers if (blob := _blob(store, layer, PARAMS)) is not None]
    defaults = advised(_read(sets[0]), "repeat_penalty") if sets else Sampling()
    return Stored(_name(manifest, store), models[0], defaults)


def _blob(store: Path, layer: object, kind: str) -> Path | None:
    """The file of a layer of this kind; a digest is a hash and nothing else, so it never leaves the store."""
    if not isinstance(layer, dict) or layer.get("mediaType") != kind:
        return None
    digest = layer.get("digest")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        return None
    return store / "blobs" / digest.replace(":", "-")


def _name(manifest: Path, store: Path) -> str:
    *owner, model, tag = manifest.relative_to(store / "manifests").parts
    if owner[:1] == ["registry.ollama.ai"]:
        owner = owner[1:]
    if owner == ["library"]:
        owner = []
    return "/".join([*owner, f"{model}:{tag}"])


def _read(file: Path) -> dict[str, Any]:
    """A small JSON object; empty where there is none."""
    try:
        if not file.is_file() or file.stat().st_size > MANIFEST_LIMIT:
            return {}
        data = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}
