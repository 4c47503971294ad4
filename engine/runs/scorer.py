"""A person's own command that says how good an adapter is.

It is run without a shell as `CMD ADAPTER_FOLDER BASE_FOLDER`, with QWILL_ADAPTER, QWILL_BASE and QWILL_RUN in
its environment; the last word that it prints is the score.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import shlex
import shutil
import signal
from pathlib import Path

from engine.protocol.errors import EngineError, fault
from engine.runs.race_table import FAILED

SECONDS = 600.0
"""That it may take for one adapter."""
SHOWN = 120
"""Characters of its complaint that are kept."""


def words_of(command: str, folder: str) -> list[str]:
    """The command split as a shell would; raises EngineError `scorer_wrong` for what cannot be run."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise _wrong(f"The scorer cannot be read: {error}") from error
    if not words:
        raise _wrong("The scorer is empty")
    found = words[0]
    if "/" in found:
        found = str(Path(folder or "/", found))
    if shutil.which(found) is None:
        raise _wrong(f"There is no command {words[0]}")
    return [found, *words[1:]]


async def score(command: str, folder: str, adapter: str, base: str, run: str) -> str:
    """The number as text, or `!` and why there is none. Never raises but for a cancel, which ends it."""
    told = {"QWILL_ADAPTER": adapter, "QWILL_BASE": base, "QWILL_RUN": run}
    try:
        words = words_of(command, folder)
    except EngineError as error:  # it was there when the race began
        return f"{FAILED}{error.info.title}"
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            adapter,
            base,
            cwd=folder or None,
            env={**os.environ, **told},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        return f"{FAILED}{error.strerror or error}"
    try:
        out, complaint = await asyncio.wait_for(process.communicate(), SECONDS)
    except TimeoutError:
        return f"{FAILED}it took longer than {SECONDS / 60:g} minutes"
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode:
        last = complaint.decode("utf-8", "replace").strip().rpartition("\n")[2][:SHOWN]
        return f"{FAILED}it ended with {process.returncode}" + (f": {last}" if last else "")
    return _number(out.decode("utf-8", "replace"))


def _number(text: str) -> str:
    found = text.split()
    try:
        value = float(found[-1]) if found else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        return f"{FAILED}it printed no number" + (f" but {found[-1][:SHOWN]}" if found else "")
    return repr(value)


def _wrong(title: str) -> EngineError:
    return fault("scorer_wrong", title, remedy="Name a command that is here, e.g. --scorer './score.py'")
