"""What each form of an export writes, how it is checked, and what uses it."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import msgspec
from msgspec.structs import replace

from engine.adapter_works import ExportJob, Progress, Reference, Written
from engine.models.adapters import CONFIG, NOTE, WEIGHTS
from engine.models.headers import Broken
from engine.protocol.adapters import Check, Exported
from engine.protocol.errors import fault
from engine.workers.export import places, serving
from engine.workers.export.card import card
from engine.workers.export.compare import unchecked
from engine.workers.export.gguf import library, write_gguf, write_gguf_lora
from engine.workers.export.llama_check import check_gguf
from engine.workers.export.merge import write_merged
from engine.workers.export.merged_check import check_merged

README = "README.md"
LORA = "adapter.gguf"
_BITS = {"f32": 32, "f16": 16, "bf16": 16, "q8_0": 8.5}
_PEFT = (CONFIG, WEIGHTS, NOTE, "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def write(job: ExportJob, progress: Progress, cancelled: threading.Event) -> Written:
    """Fill a folder of our own beside the target. Raises EngineError; then nothing is left."""
    if not job.target:
        return Written("")
    if job.form in ("gguf", "gguf-lora", "ollama"):
        library()
    target = Path(job.target)
    part = places.begin(target, _need(job), replace=job.replace)
    try:
        if job.form in ("peft", "vllm"):
            _copy(job, part)
        elif job.form == "merged":
            write_merged(job, part, progress, cancelled)
        elif job.form == "gguf-lora":
            write_gguf_lora(job, part / LORA, progress, cancelled)
        else:
            write_gguf(job, part / serving.GGUF, progress, cancelled)
            if job.form == "ollama":
                (part / "Modelfile").write_text(serving.modelfile(job))
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        if isinstance(error, OSError):
            raise places.unwritable(target, error) from error
        if isinstance(error, Broken | KeyError | ValueError | TypeError):
            raise fault(
                "export_failed", f"{job.model.name} could not be exported", f"Its files are odd: {error}"
            ) from error
        raise
    return Written(str(part))


def check(
    job: ExportJob, written: Written, told: Reference, progress: Progress, cancelled: threading.Event
) -> Check:
    """Compare what was written with the live model. Raises EngineError `cancelled`."""
    part = Path(written.path)
    if job.form == "merged":
        return check_merged(told, part, job.model, progress, cancelled)
    if job.form == "gguf-lora":
        return _check_lora(job, part, told, progress, cancelled)
    return check_gguf(told, part / serving.GGUF, job.gguf, progress, cancelled)


def finish(job: ExportJob, written: Written, checked: Check) -> Exported:
    """Write the card and the note, put all in its place, and tell Ollama. Raises EngineError."""
    if not written.path:
        command = serving.vllm_command(job, job.adapter.path)
        return Exported(job.id, job.form, check=checked, command=command, notes=written.notes)
    part, target = Path(written.path), Path(job.target)
    single = target.suffix == ".gguf"
    command = _command(job)
    try:
        if single:
            kept = _put_file(part, target)
        else:
            (part / README).write_text(card(job, checked, command))
            (part / "qwill-export.json").write_bytes(_note(job, checked))
            kept = places.put(part, target)
        size = places.size(target)
    except OSError as error:
        raise places.unwritable(target, error) from error
    notes = list(written.notes)
    if job.form == "ollama" and (checked.ok or not checked.done):
        notes.append(serving.create_in_ollama(job, target))
    return Exported(job.id, job.form, str(target), size, checked, command, kept, tuple(notes))


def _check_lora(
    job: ExportJob, part: Path, told: Reference, progress: Progress, cancelled: threading.Event
) -> Check:
    """A LoRA file says nothing by itself: its base is written as GGUF for the check alone."""
    base = part / "base.gguf"
    need, free = job.model.parameters * 2, shutil.disk_usage(part).free
    if need > free:
        return unchecked(f"its base as GGUF takes {need / 1e9:.1f} GB of disk, {free / 1e9:.1f} are free")
    try:
        write_gguf(replace(job, weight=0.0, gguf="f16"), base, progress, cancelled)
        return check_gguf(told, base, "f16", progress, cancelled, part / LORA)
    except OSError as error:
        return unchecked(f"its base could not be written as GGUF ({error.strerror})")
    finally:
        base.unlink(missing_ok=True)


def _copy(job: ExportJob, part: Path) -> None:
    source = Path(job.adapter.path)
    for name in _PEFT:
        if (source / name).is_file():
            shutil.copyfile(source / name, part / name)
    config = json.loads((part / CONFIG).read_bytes())
    if job.model.source == "hub":
        config["base_model_name_or_path"] = job.model.id
        (part / CONFIG).write_text(json.dumps(config, indent=2))


def _put_file(part: Path, target: Path) -> str:
    """A target that is named like a file gets the one file alone."""
    [made] = list(part.glob("*.gguf"))
    kept = places.put(made, target)
    shutil.rmtree(part, ignore_errors=True)
    return kept


def _command(job: ExportJob) -> str:
    if job.form == "vllm":
        return serving.vllm_command(job, job.target)
    if job.form == "ollama":
        return serving.ollama_command(job, job.target)
    return ""


def _note(job: ExportJob, checked: Check) -> bytes:
    facts = {
        "form": job.form,
        "base": job.model.id,
        "adapter": job.adapter.id,
        "adapter_version": job.adapter.version,
        "weight": job.weight,
        "check": msgspec.to_builtins(checked),
    }
    return json.dumps(facts, indent=2).encode()


def _need(job: ExportJob) -> int:
    """Bytes of disk."""
    if job.form in ("peft", "vllm", "gguf-lora"):
        return 3 * job.adapter.bytes_on_disk
    bits = 16 if job.form == "merged" else _BITS[job.gguf]
    return int(job.model.parameters * bits / 8 * 1.02) + job.adapter.bytes_on_disk
