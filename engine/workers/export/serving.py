"""Command lines and files for programs that serve a model: vLLM and Ollama."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

from engine.adapter_works import ExportJob
from engine.chat.template import ChatTemplate

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes as --max-lora-rank."""
CREATE_SECONDS, REPLY_SECONDS = 600, 120
_CHATML = (
    'TEMPLATE """{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}'
    '<|im_start|>assistant\n"""\n'
)
GGUF = "model.gguf"


def vllm_command(job: ExportJob, path: str) -> str:
    """`vllm serve BASE --enable-lora --lora-modules NAME=PATH --max-lora-rank R`."""
    base = job.model.id if job.model.source == "hub" else job.model.path
    rank = next((each for each in RANKS if each >= job.adapter.rank), RANKS[-1])
    modules = f"{plain_name(job)}={path}"
    words = ["vllm", "serve", base, "--enable-lora", "--lora-modules", modules, "--max-lora-rank", str(rank)]
    return shlex.join(words)


def plain_name(job: ExportJob) -> str:
    """A name that servers take: lower case letters, digits, dots and dashes."""
    wanted = job.name or job.adapter.name
    return re.sub(r"[^a-z0-9._-]+", "-", wanted.lower()).strip("-._") or "adapter"


def modelfile(job: ExportJob) -> str:
    """Ollama's Modelfile for the GGUF beside it."""
    template = ChatTemplate.load(Path(job.model.path))
    chatml = template is not None and "<|im_start|>" in template.source
    stop = 'PARAMETER stop "<|im_end|>"\n' if chatml else ""
    return f"FROM ./{GGUF}\n{_CHATML if chatml else ''}{stop}"


def ollama_command(job: ExportJob, folder: str) -> str:
    """What makes the model known to Ollama."""
    return shlex.join(["ollama", "create", plain_name(job), "-f", str(Path(folder) / "Modelfile")])


def create_in_ollama(job: ExportJob, folder: Path) -> str:
    """Make it known to Ollama where that is installed, and ask it one question; what came of it, in words."""
    program = shutil.which("ollama")
    if program is None:
        return "Ollama is not installed here, so it was not made known to it"
    name = plain_name(job)
    try:
        _run([program, "create", name, "-f", str(folder / "Modelfile")], CREATE_SECONDS)
        said = _run([program, "run", name, "Who are you?"], REPLY_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        words = getattr(error, "stderr", "") or str(error)
        return f"Ollama could not take it: {words.strip().splitlines()[-1][:200] if words.strip() else error}"
    return f"Ollama knows it as {name}. Asked who it is, it said: {' '.join(said.split())[:200]}"


def _run(command: list[str], seconds: int) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=True)
    return done.stdout
