"""Finds adapters (PEFT folders) and the base that each one fits. Reads small files and headers; no torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import replace

from engine.models.adapter_fit import misfit, vocabulary_mark
from engine.models.fingerprint import fingerprint
from engine.models.headers import Broken, check_file, read_json
from engine.protocol.runs import AdapterInfo
from engine.protocol.specs import ModelInfo

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
NOTE = "qwill.json"
"""Our own note beside PEFT's files: the base's fingerprint, the run, the loss."""
DEPTH = 2
"""Folders below an added one that are searched."""
_STARTS = ("pissa", "olora", "eva", "loftq")
"""Methods that differ from LoRA in what they start from, and in nothing that PEFT's file tells."""
_MOVES = {"pissa": "PiSSA", "olora": "OLoRA", "corda": "CorDA"}
"""Starts that move part of the base into the adapter; a converted one says so no more."""
UNVERIFIED = "Base not verified: it was told by {} alone"


def find_adapters(
    runs: Path, folders: Iterable[Path], models: Iterable[ModelInfo], cache: Path | None = None
) -> tuple[AdapterInfo, ...]:
    """All adapters of the runs, below the added folders and in the Hugging Face cache, newest first.

    A broken one says why.
    """
    models = tuple(models)
    found = {}
    # A run writes its weights last: without them there is nothing yet, which is no fault.
    for weights in sorted(runs.glob(f"[!.]*/adapter/{WEIGHTS}")):
        info = describe_adapter(weights.parent, models, weights.parent.parent.name)
        found[info.path] = info
    for folder in _below(folders):
        info = describe_adapter(folder, models)
        found.setdefault(info.path, info)
    for name, folder in _downloaded(cache):
        info = describe_adapter(folder, models)
        found.setdefault(info.path, replace(info, name=name))
    return tuple(sorted(found.values(), key=lambda info: (-info.created, info.id)))


def describe_adapter(
    folder: Path,
    models: tuple[ModelInfo, ...],
    id: str = "",  # noqa: A002 - the field's name
) -> AdapterInfo:
    """What a list needs to know about one adapter; `why` says what is wrong with it. Never raises.

    `id`: the run's, for an adapter of a run; the folder's path otherwise.
    """
    path = str(folder.resolve())
    blank = AdapterInfo(id=id or path, name=id or folder.name, path=path)
    try:
        config = read_json(folder / CONFIG)
        note = read_json(folder / NOTE) if (folder / NOTE).is_file() else {}
        status = (folder / WEIGHTS).stat()
        check_file(folder / WEIGHTS)
    except Broken as error:
        return _refused(blank, str(error))
    except OSError:
        return _refused(blank, f"Its {WEIGHTS} is missing; pickled .bin adapters are refused")
    base = _base(folder, config, note, models)
    return AdapterInfo(
        id=blank.id,
        name=_text(note, "name") or blank.name,
        path=path,
        base=base.id,
        base_name=_text(config, "base_model_name_or_path"),
        method=_method(config, note),
        rank=config["r"] if isinstance(config.get("r"), int) else 0,
        bytes_on_disk=status.st_size,
        created=status.st_mtime,
        version=f"{status.st_mtime_ns:x}-{status.st_size:x}",
        loss=note["loss"] if isinstance(note.get("loss"), float) else None,
        why=base.why,
        unverified=base.unverified,
        also=base.also,
    )


class _Base(NamedTuple):
    """The model that an adapter goes on, or why it goes on none."""

    id: str = ""
    why: str = ""
    unverified: str = ""
    also: tuple[str, ...] = ()


def _base(folder: Path, config: dict[str, Any], note: dict[str, Any], models: tuple[ModelInfo, ...]) -> _Base:
    """By fingerprint where the adapter has one; else by the name it gives, or by its matrices' shapes."""
    wanted, named = _text(note, "base_fingerprint"), _text(config, "base_model_name_or_path")
    if _text(config, "peft_type") != "LORA":
        return _Base(why=f"Its method {_text(config, 'peft_type') or 'without a name'} is not LoRA")
    if unconverted := _unconverted(config):
        return _Base(why=unconverted)
    usable = [model for model in models if model.support != "unsupported" and model.runs_on == "torch"]
    if wanted:
        return _by_fingerprint(wanted, named, note, usable)
    called = [model for model in usable if _is_called(model, named)]
    reasons = {model.id: _misfit(folder, model, strict=model not in called) for model in usable}
    fitting = [model.id for model in usable if not reasons[model.id]]
    for model in called:
        also = tuple(each for each in fitting if each != model.id)
        if not reasons[model.id]:
            return _Base(model.id, unverified=UNVERIFIED.format("its name"), also=also)
    if fitting:
        return _Base(fitting[0], unverified=UNVERIFIED.format("its shapes"), also=tuple(fitting[1:]))
    return _Base(
        why=f"It does not fit {called[0].name}: {reasons[called[0].id]}" if called else no_base(named)
    )


def _by_fingerprint(wanted: str, named: str, note: dict[str, Any], usable: list[ModelInfo]) -> _Base:
    for model in usable:
        if fingerprint(Path(model.path)) != wanted:
            continue
        tokens = _text(note, "vocabulary")
        if tokens and tokens != vocabulary_mark(Path(model.path)):
            return _Base(why=f"The tokenizer of {model.name} is another than when it was trained")
        return _Base(model.id)
    return _Base(why=no_base(named))


def difference(folder: Path, model: ModelInfo) -> str:
    """What keeps an adapter from a model, as far as shapes and tokenizers tell; empty where nothing does."""
    return _misfit(folder, model, strict=True)


def _misfit(folder: Path, model: ModelInfo, *, strict: bool) -> str:
    try:
        return misfit(folder, WEIGHTS, Path(model.path), strict=strict)
    except (Broken, OSError) as error:
        return str(error)


def no_base(named: str) -> str:
    """Why an adapter whose base is on no disk here cannot be used."""
    return f"Its base {named or 'model'} is not here; add its folder"


def _is_called(model: ModelInfo, named: str) -> bool:
    return bool(named) and named.rstrip("/") in (model.id, model.path, model.name)


def _method(config: dict[str, Any], note: dict[str, Any]) -> str:
    """As its own note has it: what started in the weights or the data is plain LoRA on the disk."""
    if config.get("use_dora"):
        return "dora"
    if config.get("use_rslora"):
        return "rslora"
    start, told = config.get("init_lora_weights"), _text(note, "method")
    if told in _STARTS:
        return told
    return start if isinstance(start, str) and start in _STARTS else "lora"


def _unconverted(config: dict[str, Any]) -> str:
    """Why an adapter that goes on changed weights cannot be used on the base as it is."""
    start = config.get("init_lora_weights")
    named = start.partition("_")[0] if isinstance(start, str) else ""
    if named not in _MOVES:
        return ""
    return f"It was trained on weights that {_MOVES[named]} had changed, and was not converted to plain LoRA"


def _refused(info: AdapterInfo, why: str) -> AdapterInfo:
    return AdapterInfo(id=info.id, name=info.name, path=info.path, why=why)


def _downloaded(cache: Path | None) -> list[tuple[str, Path]]:
    """Name and newest snapshot of each adapter in the Hugging Face cache."""
    found: dict[str, Path] = {}
    try:
        configs = sorted(cache.glob(f"models--*/snapshots/*/{CONFIG}")) if cache else []
        configs.sort(key=lambda config: config.lstat().st_mtime)
    except OSError:
        return []
    for config in configs:
        name = config.parents[2].name.removeprefix("models--").replace("--", "/")
        found[name] = config.parent
    return sorted(found.items())


def _below(folders: Iterable[Path]) -> list[Path]:
    found = []
    for folder in folders:
        for depth in range(DEPTH + 1):
            found += [config.parent for config in sorted(folder.glob("*/" * depth + CONFIG))]
    return found


def _text(table: dict[str, Any], key: str) -> str:
    value = table.get(key)
    return value if isinstance(value, str) else ""
