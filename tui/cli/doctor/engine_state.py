"""The engine, if one runs, and the demo model's files. Starts nothing."""

from __future__ import annotations

import asyncio

from engine.api import (
    VERSION,
    QwillError,
    connect,
    demo_model,
    lock_holder,
    log_path,
    specs,
)
from tui.cli.doctor.finding import Finding
from tui.format import size

AREA = "Engine and demo model"
ANSWER_SECONDS = 5.0
"""That a running engine has to answer."""


def check_engine() -> tuple[list[Finding], specs.EngineInfo | None]:
    """What there is to say, and the running engine's own words, if one runs and answers."""
    info, found = _engine()
    return [found, _demo()], info


def _engine() -> tuple[specs.EngineInfo | None, Finding]:
    try:
        if lock_holder() is None:
            return None, Finding(AREA, "ok", "No engine is running; `qwill` starts one when it is needed")
        info = asyncio.run(_asked())
    except TimeoutError:
        what = f"The engine does not answer within {ANSWER_SECONDS:.0f} s"
        return None, Finding(AREA, "problem", what, f"Run `qwill engine stop`; its log is {log_path()}")
    except QwillError as error:
        return None, Finding(AREA, "problem", error.info.title, error.info.remedy)
    where = f"process {info.pid}, version {info.version}, log {log_path()}"
    if info.torch == "failed":
        do = f"Run `make setup` again; the reason is in {log_path()}"
        return info, Finding(AREA, "problem", f"The engine runs ({where}), but cannot import torch", do)
    if info.version != VERSION:
        do = "Run `qwill engine stop`; the next start is the new version"
        return info, Finding(AREA, "note", f"The engine is older than this program ({where})", do)
    return info, Finding(AREA, "ok", f"The engine runs ({where})")


async def _asked() -> specs.EngineInfo:
    client = await asyncio.wait_for(connect(start=False), ANSWER_SECONDS)
    await client.close()
    return client.welcome.snapshot.engine


def _demo() -> Finding:
    model = demo_model()
    if model.support == "unsupported":
        what = f"The demo model cannot be used: {model.why.rstrip('.')}"
        return Finding(AREA, "problem", what, f"Install Qwill again; the files belong to {model.path}")
    return Finding(AREA, "ok", f"The demo model is whole ({size(model.bytes_on_disk)})")
