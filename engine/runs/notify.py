"""The command that a person wants to be run when a run ends, fails or needs them.

[runs]
on_event = "notify-send Qwill"

It runs without a shell, detached, with QWILL_RUN, QWILL_NAME and QWILL_EVENT (`done`, `failed`, `stopped` or
`needs you`) in its environment; its failure is only logged.
"""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
import threading
from typing import Literal

from engine.protocol.errors import EngineError, fault
from engine.protocol.runs import RunInfo
from engine.settings import read_table, settings_path

logger = logging.getLogger(__name__)
SECONDS = 10.0
"""That it may take."""
Happened = Literal["done", "failed", "stopped", "needs you"]


def happened(info: RunInfo) -> Happened | None:
    """What a person should hear of, now that a run stands so."""
    if info.state in ("done", "failed", "stopped"):
        return info.state
    return "needs you" if info.state == "paused" and info.error is not None else None


def ring(info: RunInfo) -> threading.Thread | None:
    """Start the command, if there is one and there is something to say. Never raises, waits for nothing."""
    event = happened(info)
    try:
        words = command() if event is not None else []
    except EngineError as error:
        logger.warning("%s", error.info.sentence())
        return None
    if not words:
        return None
    told = {"QWILL_RUN": info.id, "QWILL_EVENT": event or "", "QWILL_NAME": info.name}
    thread = threading.Thread(target=_run, args=(words, told), name="on_event", daemon=True)
    thread.start()
    return thread


def command() -> list[str]:
    """The words of `on_event`; none where it is not set. Raises EngineError `settings_wrong`."""
    text = read_table("runs").get("on_event", "")
    try:
        if not isinstance(text, str):
            raise ValueError("it is no text")
        return shlex.split(text)
    except ValueError as error:
        raise fault(
            "settings_wrong",
            f"on_event in {settings_path()} is no command",
            str(error),
            'Write a command as a text, such as "notify-send Qwill"',
        ) from error


def _run(words: list[str], told: dict[str, str]) -> None:
    try:
        done = subprocess.run(
            words,
            env=dict(os.environ) | told,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            timeout=SECONDS,
            check=False,
            cwd="/",
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        logger.warning("on_event failed: %s", error)
        return
    if done.returncode:
        logger.warning("on_event ended with status %d", done.returncode)
