"""Which files of a repository are taken: safetensors with what belongs to them, or one GGUF. Never code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import msgspec

from engine.hub import places
from engine.hub.faults import file_gone
from engine.protocol.errors import EngineError, fault
from engine.protocol.hub import FileRole, HubKind

CONFIG = {
    "config.json",
    "generation_config.json",
    "model.safetensors.index.json",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
    "adapter_config.json",
}
TOKENIZER = {
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
}
TEMPLATE = {"chat_template.json", "chat_template.jinja"}
_SHARD = re.compile(r"model(\.safetensors)?-\d+-of-\d+\.safetensors")
_PART = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf", re.IGNORECASE)
_LIKED = re.compile(r"Q4_K_M", re.IGNORECASE)
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".msgpack", ".h5")


class RepoFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file as the hub lists it, its name and hash checked."""

    name: str
    size: int
    blob: str
    """Its name in `blobs`: a large file's SHA-256, a small one's git hash (SHA-1 of a header and it)."""

    @property
    def large(self) -> bool:
        return len(self.blob) == 64


def role(name: str) -> FileRole:
    """What a file is for; `other` is never downloaded."""
    if name.lower().endswith(".gguf"):
        return "gguf"
    if "/" in name:
        return "template" if re.fullmatch(r"additional_chat_templates/[^/]+\.jinja", name) else "other"
    if name.endswith(".safetensors"):
        return "weights"
    for names, kind in ((CONFIG, "config"), (TOKENIZER, "tokenizer"), (TEMPLATE, "template")):
        if name in names:
            return kind  # type: ignore[return-value]
    return "other"


def needed(files: Sequence[RepoFile]) -> tuple[RepoFile, ...]:
    """What a download takes by itself, small files first; nothing where a GGUF file has to be chosen."""
    weights = _weights([file for file in files if role(file.name) == "weights"])
    if weights:
        rest = [file for file in files if role(file.name) in ("config", "tokenizer", "template")]
        return (*sorted(rest, key=lambda file: file.name), *sorted(weights, key=lambda file: file.name))
    options = choices(files)
    return parts(files, options[0]) if len(options) == 1 else ()


def _weights(found: list[RepoFile]) -> list[RepoFile]:
    """One whole set of weights: others beside it (a vendor's own format, other dtypes) are copies."""
    for wanted in (
        lambda name: _SHARD.fullmatch(name),
        lambda name: name == "model.safetensors",
        lambda name: not name.startswith("consolidated"),
    ):
        picked = [file for file in found if wanted(file.name)]
        if picked:
            return picked
    return found


def kind(files: Iterable[RepoFile]) -> HubKind:
    """What the weights are kept as."""
    roles = {role(file.name) for file in files}
    if "weights" in roles:
        return "safetensors"
    return "gguf" if "gguf" in roles else ""


def choices(files: Sequence[RepoFile]) -> tuple[str, ...]:
    """GGUF models to choose from, smallest first; of a split one its first part. Vision parts are none."""
    found: dict[str, int] = {}
    for file in files:
        split = _PART.fullmatch(file.name)
        if role(file.name) != "gguf" or "mmproj" in file.name.lower():
            continue
        name = f"{split[1]}-{1:05}-of-{split[3]}.gguf" if split else file.name
        found[name] = found.get(name, 0) + file.size
    there = {file.name for file in files}
    return tuple(sorted((name for name in found if name in there), key=lambda name: (found[name], name)))


def parts(files: Sequence[RepoFile], name: str) -> tuple[RepoFile, ...]:
    """A file, and the other parts of a split GGUF."""
    split = _PART.fullmatch(name)
    if split is None:
        return tuple(file for file in files if file.name == name)
    whole = re.compile(re.escape(split[1]) + r"-\d{5}-of-" + split[3] + r"\.gguf", re.IGNORECASE)
    return tuple(sorted((f for f in files if whole.fullmatch(f.name)), key=lambda f: f.name))


def chosen(model: str, files: Sequence[RepoFile], names: Sequence[str]) -> tuple[RepoFile, ...]:
    """What a download takes; raises EngineError where that is nothing, or nothing that may be taken."""
    if not names:
        found = needed(files)
        if not found:
            raise nothing(model, files)
        return found
    picked: dict[str, RepoFile] = {}
    for name in names:
        named = parts(files, _whole_name(files, name))
        if not named:
            raise file_gone(model, name)
        if role(named[0].name) == "other":
            raise fault(
                "hub_file_unsafe",
                f"{name[:120]} is not downloaded",
                "Only safetensors, GGUF and the settings of a model are; other files may hold code",
            )
        picked |= {file.name: file for file in named}
    return tuple(picked.values())


def _whole_name(files: Sequence[RepoFile], name: str) -> str:
    """A name, or the only GGUF choice that holds these words (`q4_k_m`)."""
    if any(file.name == name for file in files):
        return name
    fitting = [option for option in choices(files) if name.lower() in option.lower()]
    return fitting[0] if name and len(fitting) == 1 else name


def nothing(model: str, files: Sequence[RepoFile]) -> EngineError:
    """Why a download of this repository takes nothing by itself."""
    options = choices(files)
    if options:
        liked = next((name for name in options if _LIKED.search(name)), options[0])
        shown = ", ".join(options[:8]) + (", …" if len(options) > 8 else "")
        return fault(
            "hub_choose_file",
            f"{model} holds {len(options)} GGUF files; choose one",
            shown,
            f"Add --file {liked}",
        )
    pickles = any(file.name.lower().endswith(PICKLES) for file in files)
    why = (
        "Its weights are pickle files, which can run code"
        if pickles
        else "It has no safetensors or GGUF files"
    )
    return fault(
        "hub_no_weights",
        f"{model} holds no weights that Qwill downloads",
        why,
        "Look for a repository with safetensors or GGUF files",
    )


def here(model: str, sha: str, file: RepoFile) -> int:
    """Bytes of a file that are on this disk already, whole or in part."""
    repo = places.repo_folder(model)
    for whole in (repo / "snapshots" / sha / file.name, repo / "blobs" / file.blob):
        try:
            if whole.stat().st_size == file.size:
                return file.size
        except OSError:
            continue
    try:
        part = (repo / "blobs" / f"{file.blob}.incomplete").stat().st_size
    except OSError:
        return 0
    return min(part, file.size)
