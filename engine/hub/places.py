"""Where the hub is and where its files lie here; which names of its are let near the disk."""

from __future__ import annotations

import os
import re
import shutil
import unicodedata
from pathlib import Path
from urllib.parse import quote, urlsplit

from engine.hub import modelscope
from engine.models.hub_cache import cache_folder
from engine.protocol.errors import fault

DEFAULT_ENDPOINT = "https://huggingface.co"
RESERVE = 1 << 30
"""Bytes of the disk that a download leaves to everything else."""
NAME_BYTES = 255
"""Of one component of a path, as file systems have it."""
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?")
_SHA = re.compile(r"[0-9a-f]{40}")
_TRUE = {"1", "ON", "YES", "TRUE"}


def endpoint() -> str:
    """HF_ENDPOINT, else the public hub; no slash at its end."""
    return (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")


def host(model: str = "") -> str:
    """The name for people of a model's hub, without a user or password that its address may hold."""
    return host_of(modelscope.endpoint() if modelscope.is_theirs(model) else endpoint())


def host_of(url: str) -> str:
    """The host and port of an address."""
    parts = urlsplit(url)
    return (parts.hostname or url) + (f":{parts.port}" if parts.port else "")


def branch(model: str) -> str:
    """What a model's hub calls the branch that is meant where none is named."""
    return modelscope.BRANCH if modelscope.is_theirs(model) else "main"


def asked_offline() -> bool:
    """Whether HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set, as huggingface_hub reads them."""
    wish = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return wish.upper() in _TRUE


def page(model: str) -> str:
    """A model's address for a browser."""
    return modelscope.page(model) if modelscope.is_theirs(model) else f"{endpoint()}/{model}"


def file_url(model: str, sha: str, name: str) -> str:
    """Where one file of one commit is fetched."""
    if modelscope.is_theirs(model):
        return modelscope.file_url(model, sha, name)
    return f"{endpoint()}/{model}/resolve/{sha}/{quote(name)}"


def is_id(model: str) -> bool:
    """Whether this can be the id of a repository: NAME or ORG/NAME, nothing that leaves a folder."""
    if modelscope.is_theirs(model):
        model = modelscope.bare(model)
        return "/" in model and is_id(model)
    return bool(_ID.fullmatch(model)) and "--" not in model and ".." not in model


def checked_id(model: str) -> str:
    """The id, trimmed; raises EngineError `hub_bad_id`."""
    model = model.strip()
    if not is_id(model):
        raise fault(
            "hub_bad_id",
            f"{model[:80]!r} is no id of a model on the hub",
            remedy="Give it as ORG/NAME, such as Qwen/Qwen3-0.6B, or as modelscope:ORG/NAME",
        )
    return model


def is_sha(text: str) -> bool:
    """Whether this is a whole commit id."""
    return bool(_SHA.fullmatch(text))


def safe_name(name: str) -> bool:
    """Whether a file or branch called so stays below its folder, on every system, and prints as it is."""
    parts = name.split("/")
    return all(_safe_part(part) for part in parts) and len(name.encode()) < 1024 and len(parts) <= 16


def _safe_part(part: str) -> bool:
    return (
        part not in ("", ".", "..")
        and "\\" not in part
        and ":" not in part
        and part == part.strip()
        and len(part.encode()) <= NAME_BYTES - len(".incomplete")
        and not any(unicodedata.category(each).startswith("C") for each in part)
    )


def repo_folder(model: str) -> Path:
    """A model's folder in the cache, there or not."""
    return cache_folder() / ("models--" + model.replace(":", "--").replace("/", "--"))


def lock_path(model: str, blob: str) -> Path:
    """The lock that huggingface_hub takes for the same file."""
    return cache_folder() / ".locks" / repo_folder(model).name / f"{blob}.lock"


def free_bytes() -> int:
    """Bytes that may be written where the cache is, or will be: what is free less the reserve."""
    folder = cache_folder().absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return max(0, shutil.disk_usage(folder).free - RESERVE)
