"""Real model servers on loopback, started for a test: `transformers serve` and llama.cpp's."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.demo import MODEL_FOLDER
from tests.support.pty_app import ROOT

SECONDS = 90.0
LLAMA = """
import sys, xllamacpp
p = xllamacpp.CommonParams()
p.model.path, p.port, key = sys.argv[1], int(sys.argv[2]), sys.argv[3]
p.hostnames, p.api_keys = ["127.0.0.1"], [key]
p.n_ctx, p.n_parallel, p.fit_params, p.ctx_shift = 512, 1, False, False
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
p.endpoint_slots = p.endpoint_props = p.use_jinja = True
server = xllamacpp.Server(p)
sys.stdin.read()
import os
os._exit(0)
"""


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cached_demo(cache: Path) -> str:
    """The demo model as a Hugging Face cache has it; returns its id."""
    folder = cache / "models--qwill--demo"
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "blobs").mkdir()
    (folder / "refs" / "main").write_text("0" * 40)
    for file in MODEL_FOLDER.iterdir():
        if file.is_file():
            (snapshot / file.name).symlink_to(file)
    return "qwill/demo"


@contextmanager
def transformers_serve(cache: Path) -> Iterator[str]:
    """Its address; it offers the demo model out of a cache of its own."""
    cached_demo(cache)
    port = free_port()
    words = [sys.executable, "-m", "transformers.cli.transformers", "serve", "--device", "cpu"]
    words += ["--host", "127.0.0.1", "--port", str(port)]
    env = dict(os.environ, HF_HUB_CACHE=str(cache), HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")
    with _running(words, env, f"http://127.0.0.1:{port}/health"):
        yield f"http://127.0.0.1:{port}/v1"


@contextmanager
def llama_serve(gguf: Path, key: str) -> Iterator[str]:
    """The address of llama.cpp's own server, which wants this key."""
    port = free_port()
    words = [sys.executable, "-c", LLAMA, str(gguf), str(port), key]
    with _running(words, dict(os.environ), f"http://127.0.0.1:{port}/health"):
        yield f"http://127.0.0.1:{port}/v1"


@contextmanager
def _running(words: list[str], env: dict[str, str], health: str) -> Iterator[None]:
    process = subprocess.Popen(
        words,
        cwd=ROOT,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        deadline = time.monotonic() + SECONDS
        while not _answers(health):
            if process.poll() is not None:
                assert process.stdout is not None
                raise AssertionError(process.stdout.read().decode()[-2000:])
            assert time.monotonic() < deadline, f"{words[1:4]} does not answer"
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.communicate()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2.0) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
