"""The card that lies with an export: what it is, what it was made of, and how it compared."""

from __future__ import annotations

from engine.adapter_works import ExportJob
from engine.protocol.adapters import Check

_WHAT = {
    "merged": "The weights of {base} with the adapter {adapter} added, in 16 bits.",
    "gguf": "{base} with the adapter {adapter} added, as a GGUF file for llama.cpp.",
    "ollama": "{base} with the adapter {adapter} added, as a GGUF file and a Modelfile for Ollama.",
    "gguf-lora": "The adapter {adapter} for {base}, as llama.cpp reads it.",
    "peft": "The adapter {adapter} for {base}, as PEFT reads it.",
    "vllm": "The adapter {adapter} for {base}, as PEFT and vLLM read it.",
}


def card(job: ExportJob, check: Check, command: str) -> str:
    """Markdown with the head that the Hugging Face hub reads."""
    base = f"base_model: {job.model.id}\n" if job.model.source == "hub" else ""
    library = "peft" if job.form in ("peft", "vllm") else "transformers"
    what = _WHAT[job.form].format(base=job.model.name, adapter=job.adapter.name)
    rows = [
        ("base", job.model.name),
        ("adapter", f"{job.adapter.name} ({job.adapter.method}, rank {job.adapter.rank})"),
    ]
    if job.form not in ("peft", "vllm"):
        rows.append(("weight of the adapter", f"{job.weight:g}"))
    if job.form in ("gguf", "ollama"):
        rows.append(("type", job.gguf))
    rows.append(("compared with the live model", check.words or "no"))
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    warning = (
        ""
        if check.ok or not check.done
        else "\n> **This export did not pass its check. Do not rely on it.**\n"
    )
    use = f"\n```\n{command}\n```\n" if command else ""
    title = f"{job.model.name} + {job.adapter.name}"
    return (
        f"---\nlibrary_name: {library}\n{base}tags: [qwill]\n---\n\n# {title}\n\n"
        f"{what} Written by Qwill.\n{warning}\n| | |\n|---|---|\n{table}\n{use}"
    )
