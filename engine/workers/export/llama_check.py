"""Compares a GGUF file, read by llama.cpp in a process of its own, with the live model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from engine.adapter_works import Progress, Reference
from engine.protocol.adapters import Check
from engine.workers.device import THREADS
from engine.workers.export.compare import judge, unchecked
from engine.workers.export.merge import stopped

PLACES = 6
"""Positions of each reply that are compared; each costs a request."""
CONTEXT = 512
POLL = 0.05
"""Seconds between two looks at whether the check is to stop."""


def check_gguf(
    told: Reference,
    model: Path,
    form: str,
    progress: Progress,
    cancelled: threading.Event,
    lora: Path | None = None,
) -> Check:
    """Its log-probabilities and its tokenizer beside the live model's. Raises EngineError `cancelled`."""
    if find_spec("xllamacpp") is None:
        return unchecked('llama.cpp is not installed (pip install "qwill[gguf]")')
    progress(0.9, "comparing with the live model")
    request = {
        "model": str(model),
        "lora": str(lora) if lora else "",
        "context": CONTEXT,
        "threads": THREADS,
        "places": PLACES,
        "letter": told.letter,
        "ids": told.ids,
        "starts": told.starts,
        "texts": [text for text, _ in told.counts],
    }
    answer, trouble = _ask(request, cancelled)
    if answer is None:
        return Check(done=True, words=f"NOT readable by llama.cpp: {trouble}")
    found = [[{int(token): log for token, log in row} for row in rows] for rows in answer["rows"]]
    check = judge(told, found, form)
    # A start token that llama.cpp puts in front of every text is no difference.
    apart = {got - count for got, (_, count) in zip(answer["counts"], told.counts, strict=True)}
    if apart in ({0}, {1}):
        return check
    return replace(check, ok=False, words=f"{check.words}. Its tokenizer splits texts in another way")


def _ask(request: dict[str, Any], cancelled: threading.Event) -> tuple[dict[str, Any] | None, str]:
    """The child's answer, or its last words. Raises EngineError `cancelled`."""
    child = subprocess.Popen(
        [sys.executable, "-m", "engine.workers.export.llama_child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    watcher = threading.Thread(target=_end_when, args=(child, cancelled), daemon=True)
    watcher.start()
    out, words = child.communicate(json.dumps(request))
    if cancelled.is_set():
        raise stopped()
    if child.returncode:
        lines = [line for line in words.splitlines() if line.strip()]
        error = next((line for line in reversed(lines) if " E " in line or "Error" in line), "")
        return None, (error or (lines[-1] if lines else "it ended"))[:300]
    answer: dict[str, Any] = json.loads(out)
    return answer, ""


def _end_when(child: subprocess.Popen[str], cancelled: threading.Event) -> None:
    while child.poll() is None:
        if cancelled.wait(POLL):
            child.kill()
            return
