"""Finds the models on this machine, and one of them by what a person calls it."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec.structs import replace

from engine.demo import MODEL_FOLDER
from engine.models import gguf_memo
from engine.models.describe import describe
from engine.models.gguf import Source, describe_gguf
from engine.models.gguf_files import gguf_files
from engine.models.gguf_header import plain_name
from engine.models.headers import Broken, read_json
from engine.models.hub_cache import MODELSCOPE, cache_folder, cached_models, cached_repositories
from engine.models.lmstudio_store import lmstudio_stores
from engine.models.ollama_store import ollama_stores, stored_models
from engine.models.onnx import describe_onnx, is_onnx
from engine.models.trained import trained_models
from engine.protocol.errors import EngineError, fault
from engine.protocol.specs import ModelInfo

DEPTH = 2
"""How deep below an added folder models are looked for."""
FOLDER_LIMIT = 4000
"""Folders looked at below one added folder."""
STORE_DEPTH = 3
"""How deep GGUF files are looked for in a repository of the hub's cache and in LM Studio's folder."""


def demo_path() -> Path:
    """The demo model's folder; it ships with Qwill."""
    return MODEL_FOLDER


def discover(folders: tuple[Path, ...] = ()) -> list[ModelInfo]:
    """The demo, the Hugging Face cache, the runs, the added folders, and what Ollama and LM Studio keep.

    An added folder is a model, or holds models; a GGUF file is a model by itself, read where it lies. Reads
    the disk; a broken folder is listed with what is wrong, or left out, and never raises.
    """
    models: list[ModelInfo] = []
    seen: set[Path] = set()
    if demo_path().is_dir():
        _add(models, seen, describe(demo_path(), "demo", "demo", "demo"))
    for id_, folder in cached_models(cache_folder()):
        if not _only_gguf(folder):
            # Other programs know an id of the Hugging Face hub, and no other hub's.
            theirs = id_.startswith(f"{MODELSCOPE}:")
            _add(models, seen, describe(folder, id_, id_.rpartition("/")[2], "folder" if theirs else "hub"))
    for id_, folder in cached_repositories(cache_folder()):
        _add_files(models, seen, folder, id_, "hub")
    for model in trained_models():
        _add(models, seen, model)
    for root in folders:
        for folder in _below(root):
            if not _only_gguf(folder):
                _add(models, seen, _of_folder(folder))
            for file in gguf_files(folder, 0):
                _add(models, seen, _of_file(file))
    _add_stores(models, seen)
    gguf_memo.shared.save()
    return models


def _add_stores(models: list[ModelInfo], seen: set[Path]) -> None:
    """What other programs keep on this machine."""
    for store in ollama_stores():
        for stored in stored_models(store):
            model = describe_gguf(stored.file, f"ollama/{stored.name}", stored.name, "ollama")
            if model is not None:
                _add(models, seen, replace(model, defaults=stored.defaults))
    for store in lmstudio_stores():
        _add_files(models, seen, store, "lmstudio", "lmstudio")


def _add_files(models: list[ModelInfo], seen: set[Path], root: Path, id_: str, source: Source) -> None:
    """The GGUF files at or below a folder, called by their place in it."""
    for file in gguf_files(root, STORE_DEPTH):
        name = _printable(plain_name(file))
        place = "/".join([id_, *map(_printable, file.relative_to(root).parts[:-1]), name])
        _add(models, seen, describe_gguf(file, place, name, source))


def _of_file(file: Path) -> ModelInfo | None:
    """A GGUF model that is called by its path."""
    return describe_gguf(file, _printable(file), _printable(plain_name(file)), "folder")


def _only_gguf(folder: Path) -> bool:
    """Whether a folder's weights are GGUF files alone, so that they are models and the folder is none."""
    others = ("safetensors", "bin", "pt")
    try:
        if any(next(folder.glob(f"*.{end}"), None) for end in others):
            return False
        return next(folder.glob("*.gguf"), None) is not None
    except OSError:
        return False


def find(ref: str, models: Iterable[ModelInfo]) -> ModelInfo:
    """A model by id, name, the only id or name that ends like this, or its folder's path.

    Raises EngineError `model_not_found` with near misses, `model_ambiguous` with the candidates.
    """
    known = tuple(models)
    wanted = ref.strip()
    lower = wanted.casefold()
    tests = (
        [model for model in known if model.id == wanted],
        [model for model in known if model.name == wanted],
        [model for model in known if lower in (model.id.casefold(), model.name.casefold())],
        [model for model in known if lower and model.id.casefold().endswith(lower)],
    )
    for matches in tests:
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise _ambiguous(wanted, matches)
    resolved = _folder(wanted)
    if resolved is not None:
        for model in known:
            if Path(model.path) == resolved:
                return model
        if resolved.is_file():
            return _single(resolved)
        if is_model(resolved) and not _only_gguf(resolved):
            return _of_folder(resolved)
        files = list(gguf_files(resolved, 0))
        if len(files) == 1:
            return _single(files[0])
        raise fault(
            "model_not_found",
            f"The folder {wanted} holds {'several models' if files else 'no model'}",
            "Each GGUF file is one" if files else "There is no config.json of a model in it",
            "Name the GGUF file" if files else "Name the folder with config.json and the .safetensors files",
        )
    raise _not_found(wanted, known)


def _single(file: Path) -> ModelInfo:
    """The model in a GGUF file that a person named. Raises EngineError `model_not_found`."""
    model = _of_file(file)
    if model is None:
        raise fault(
            "model_not_found",
            f"{file.name} is no model by itself",
            "It holds a vocabulary, an adapter, or the vision part of another file",
            "Name the GGUF file with the language model",
        )
    return model


def _folder(ref: str) -> Path | None:
    """The folder or the GGUF file that a reference names, if there is one."""
    try:
        path = Path(ref).expanduser()
        if ref and path.suffix.lower() == ".gguf" and path.is_file():
            return (
                path.absolute()
            )  # unresolved: the name of a link in the hub's cache says more than the blob
        return path.resolve() if ref and path.is_dir() else None
    except (OSError, ValueError, RuntimeError):
        # Too long, not a path, or ~ of nobody we know.
        return None


def is_model(folder: Path) -> bool:
    """Whether a folder looks like a model, whole or not."""
    try:
        if is_onnx(folder):
            return True
        if (folder / "config.json").is_file():
            return _has_weights(folder) or _is_model_config(folder / "config.json")
        return next(folder.glob("*.gguf"), None) is not None
    except OSError:
        return False


def _add(models: list[ModelInfo], seen: set[Path], model: ModelInfo | None) -> None:
    if model is None:
        return
    place = Path(model.path).resolve()
    if place not in seen:
        seen.add(place)
        models.append(model)


def _of_folder(folder: Path) -> ModelInfo:
    """A model that is called by its path."""
    if is_onnx(folder):
        model = describe_onnx(folder, _printable(folder), _printable(folder.name))
    else:
        model = describe(folder, _printable(folder), _printable(folder.name), "folder")
    if os.fsencode(folder).decode("utf-8", "replace") == str(folder):
        return model
    return ModelInfo(
        id=model.id,
        name=model.name,
        path=model.id,
        support="unsupported",
        why="The name of its folder is not valid UTF-8; rename the folder",
    )


def _below(root: Path) -> Iterator[Path]:
    """The model folders at or below a root, by name; links to folders are followed once, never further."""
    budget = FOLDER_LIMIT
    level = [(root, True)]
    for depth in range(DEPTH + 1):
        further: list[tuple[Path, bool]] = []
        for folder, open_ in level:
            budget -= 1
            if budget < 0:
                return
            model = is_model(folder)
            if model:
                yield folder.resolve()
            if open_ and depth < DEPTH and (not model or _only_gguf(folder)):
                further += _children(folder)
        level = further


def _children(folder: Path) -> list[tuple[Path, bool]]:
    """Folders in a folder, hidden ones left out; the flag: whether to look into them (not into links)."""
    try:
        with os.scandir(folder) as entries:
            named = [
                (Path(entry.path), not entry.is_symlink())
                for entry in entries
                if not entry.name.startswith(".") and _is_folder(entry)
            ]
    except OSError:
        return []
    return sorted(named)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _has_weights(folder: Path) -> bool:
    return any(next(folder.glob(f"*.{end}"), None) for end in ("safetensors", "bin", "gguf"))


def _is_model_config(path: Path) -> bool:
    try:
        config = read_json(path)
    except Broken:
        return False
    return "model_type" in config or "architectures" in config


def _printable(text: Path | str) -> str:
    """Text that can travel as UTF-8, whatever bytes the file system holds."""
    return os.fsencode(text).decode("utf-8", "replace")


def _ambiguous(ref: str, matches: list[ModelInfo]) -> EngineError:
    return fault(
        "model_ambiguous",
        f"More than one model is called {ref}",
        "It could be " + ", ".join(model.id for model in matches[:5]),
        "Give the whole id or the folder's path",
    )


def _not_found(ref: str, models: tuple[ModelInfo, ...]) -> EngineError:
    names = {name.casefold(): model.id for model in models for name in (model.id, model.name)}
    near = difflib.get_close_matches(ref.casefold(), names, n=3, cutoff=0.5)
    inside = [id_ for name, id_ in names.items() if ref and ref.casefold() in name]
    close = list(dict.fromkeys([names[name] for name in near] + inside))[:3]
    return fault(
        "model_not_found",
        f"There is no model called {ref[:200] or 'nothing'} on this machine",
        f"Close to it: {', '.join(close)}" if close else "",
        "See `qwill models list`, or give the path of a GGUF file or of a folder with config.json "
        "and .safetensors files",
    )
