"""Holds one GGUF model: `python -m engine.llama.child`. A fault in native code ends this process alone.

One JSON line on standard input says what to load; one on standard output says that it is ready, or why not.
Then requests are served on a socket in a private folder, until standard input ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
WARNINGS = 2
"""What is logged: a line for each request would fill the disk in the end."""
FAILED = 3
"""Exit status of a load that llama.cpp refused."""


def main() -> None:
    _die_with_parent(signal.SIGKILL)
    _write_no_core()
    order = json.loads(sys.stdin.buffer.readline())
    # What native code prints must not land among the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        server = _start(order)
    except Exception as error:  # the binding raises whatever it likes; the parent is told one line
        _say(answers, {"error": str(error)})
        sys.exit(FAILED)  # by the long way: the log, which has the reason, is written behind our back
    # From here the end of standard input is enough, and leaves time to tidy up.
    _die_with_parent(0)
    _say(answers, {"ready": True, "device": _device()})
    # A read of the descriptor itself: nothing buffered is left behind, and native threads go on meanwhile.
    while os.read(0, 4096):
        continue
    shutil.rmtree(Path(order["socket"]).parent, ignore_errors=True)
    # Not by way of the server's destructor: what it would free goes with the process.
    os._exit(0 if server is not None else FAILED)


def _start(order: dict[str, Any]) -> object:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = order["path"]
    params.n_ctx = order["context"]
    params.n_parallel = 1
    params.n_batch = params.n_ubatch = order["batch"]
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = order["threads"]
    params.fit_params = False
    params.ctx_shift = False
    params.cache_ram_mib = order["cache_mib"]
    params.hostnames = [order["socket"]]
    params.api_keys = [order["key"]]
    params.n_threads_http = 4
    params.ui = False
    params.verbosity = WARNINGS
    params.endpoint_slots = False
    params.endpoint_props = False
    params.enable_chat_template = False
    params.use_jinja = False
    return xllamacpp.Server(params)


def _device() -> str:
    """Name of the GPU that computes; empty for the processor."""
    import xllamacpp

    for device in xllamacpp.get_device_info():
        if device["name"] not in ("CPU", "BLAS"):
            return str(device.get("description") or device["name"])
    return ""


def _die_with_parent(sent: int) -> None:
    """Be sent this signal when the engine ends, however it ends: a load looks at nothing else. 0: none."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(sent))


def _write_no_core() -> None:
    """A crash must not fill the disk with a file of the size of the model."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _say(answers: Any, word: dict[str, Any]) -> None:
    answers.write(json.dumps(word) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
