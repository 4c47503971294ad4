"""What can go wrong with the hub and with a download, each in one sentence."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping

from engine.hub.modelscope import bare, is_theirs
from engine.hub.places import asked_offline, branch, host, page
from engine.network_words import network_words
from engine.protocol.errors import EngineError, fault

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
PASSING = {408, 425, 429, 500, 502, 503, 504}
"""Statuses that may be over a little later."""
MORE_ROOM = "Free some space (`qwill models rm` deletes models), then start it again: what came is kept"
LONGEST_WAIT = 300.0
"""Seconds; a hub that asks for more is asked again all the same."""


class Passing(Exception):
    """A fault that may be over a little later; `wait` is what the hub asked for, in seconds."""

    def __init__(self, error: EngineError, wait: float = 0.0) -> None:
        super().__init__(str(error))
        self.error = error
        self.wait = wait


class Stopped(Exception):
    """The download was cancelled, or the engine leaves; what came stays on the disk."""


def offline() -> EngineError:
    return fault(
        "hub_offline",
        f"{host()} is not asked, because HF_HUB_OFFLINE is set",
        remedy="Unset HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE, run `qwill engine stop`, and try again",
    )


def check_online() -> None:
    """For a client, whose surroundings are not the engine's. Raises EngineError `hub_offline`."""
    if asked_offline():
        raise offline()


def unreachable(error: Exception, at: str = "") -> EngineError:
    """`at` is the host that was asked."""
    return fault(
        "hub_unreachable",
        f"{at or host()} does not answer",
        network_words(error)[:200],
        "Check the network, and HF_ENDPOINT and the proxy settings if you use them",
        retryable=True,
    )


def odd(what: str, at: str = "") -> EngineError:
    """`at` is the host that was asked."""
    return fault(
        "hub_odd",
        f"{at or host()} answered something that is no answer of a hub",
        what,
        "Check HF_ENDPOINT, or try again later",
        retryable=True,
    )


def refused(
    model: str, status: int, headers: Mapping[str, str], *, token: bool, what: str = ""
) -> EngineError | Passing:
    """What a status means; `what` is the file or revision that was asked for. Passing may be tried again."""
    code = headers.get("x-error-code", "")
    if status in PASSING:
        return _busy(status, headers, host(model))
    if is_theirs(model):
        return _refused_by_modelscope(model, status, token=token, what=what)
    if code == "GatedRepo":
        return gated(model, token=token)
    if code == "RevisionNotFound":
        return revision_gone(model, what)
    if code == "EntryNotFound":
        return file_gone(model, what)
    if status == 401 and token and "credentials" in headers.get("x-error-message", "").lower():
        return fault(
            "hub_token_refused",
            f"{host()} does not accept the token that was sent",
            remedy="Run `hf auth login` again, or correct HF_TOKEN",
        )
    if status in (401, 404) or code == "RepoNotFound":
        return fault(
            "hub_not_found",
            f"There is no model {model} on {host()}, or it is private"
            if model
            else f"{host()} found nothing",
            "" if token else "No token was sent",
            "Check the name; for a private model run `hf auth login` or set HF_TOKEN",
        )
    reason = headers.get("x-error-message", "")[:200]
    return fault(
        "hub_refused",
        f"{host()} refused with status {status}",
        reason,
        "Look at " + (page(model) if model else host()),
    )


def _refused_by_modelscope(model: str, status: int, *, token: bool, what: str) -> EngineError:
    """It tells no more than a status, so that a revision or file that is gone looks like a model that is."""
    if status not in (401, 403, 404):
        return fault(
            "hub_refused", f"{host(model)} refused with status {status}", remedy=f"Look at {page(model)}"
        )
    return fault(
        "hub_not_found",
        f"There is no model {bare(model)} on {host(model)}, it lacks {what[:120]}, or it is private"
        if what
        else f"There is no model {bare(model)} on {host(model)}, or it is private",
        "" if token else "No token was sent",
        "Check the name; for a private model set MODELSCOPE_API_TOKEN, and run `qwill engine stop`",
    )


def _busy(status: int, headers: Mapping[str, str], at: str) -> Passing:
    title = f"{at} is asked too often" if status == 429 else f"{at} is in trouble (status {status})"
    return Passing(
        fault("hub_busy", title, remedy="Try again in a few minutes", retryable=True), _wait(headers)
    )


def _wait(headers: Mapping[str, str]) -> float:
    """Seconds that the hub asks for, by Retry-After or its own RateLimit header (`"api";r=0;t=55`)."""
    limit = re.search(r"\bt=(\d+)", headers.get("ratelimit", ""))
    asked = headers.get("retry-after", "") or (limit[1] if limit and "r=0;" in headers["ratelimit"] else "0")
    try:
        return min(max(0.0, float(asked)), LONGEST_WAIT)
    except ValueError:
        return 0.0


def gated(model: str, *, token: bool) -> EngineError:
    return fault(
        "hub_gated",
        f"{model} is gated: its terms have to be accepted first",
        "Your account has not accepted them, or waits for an answer" if token else "No token was sent",
        f"Accept them at {page(model)}, then run `hf auth login` or set HF_TOKEN",
    )


def revision_gone(model: str, revision: str) -> EngineError:
    return fault(
        "hub_revision_gone",
        f"{model} has no revision {revision[:80]} (any more)",
        remedy=f"See what there is at {page(model)}/tree/{branch(model)}, or leave the revision out",
    )


def file_gone(model: str, name: str) -> EngineError:
    return fault(
        "hub_file_gone",
        f"{model} has no file {name[:120]} at this commit (any more)",
        remedy="Start the download again to take the newest commit",
    )


def disk_full(need: int, free: int) -> EngineError:
    return fault(
        "disk_full",
        f"The disk has no room: {gib(need)} are still to come, {gib(free)} may be used",
        "Some space stays reserved for everything else",
        MORE_ROOM,
    )


def unwritable(error: OSError) -> EngineError:
    if error.errno in FULL:
        return fault("disk_full", "The disk is full", remedy=MORE_ROOM)
    return fault(
        "cache_unwritable",
        "The Hugging Face cache cannot be written",
        error.strerror or str(error),
        "Make it writable, or set HF_HUB_CACHE to a folder that is",
    )


def wrong_hash(model: str, name: str) -> EngineError:
    return fault(
        "wrong_hash",
        f"{name[:120]} of {model} is not what the hub promised, and was removed",
        "Its hash differs: the file was damaged or exchanged on the way",
        "Start the download again; if it happens again, distrust the line or HF_ENDPOINT",
    )


def gib(size: int) -> str:
    """Bytes for a sentence."""
    return f"{size / (1 << 30):.1f} GiB" if size >= 1 << 30 else f"{size / (1 << 20):.1f} MiB"
