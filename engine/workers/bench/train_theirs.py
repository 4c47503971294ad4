"""TRL's side: SFTTrainer as it comes, with what both sides must share set to the same."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from safetensors.torch import load_file
from torch.optim.lr_scheduler import LambdaLR
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer

from engine.bench_training import SideJob, TrainJob, Turn
from engine.workers.bench.resident import highest, resident
from engine.workers.bench.train_ours import RATES, ROWS, START, spec_of
from engine.workers.training.adapter import target_names


class Clock(TrainerCallback):  # type: ignore[misc]
    """Notes the end of each step and its loss."""

    def __init__(self, told: Callable[[str], None]) -> None:
        self.seconds: list[float] = []
        self.losses: list[float] = []
        self._told = told
        self._last = 0.0

    def on_train_begin(self, *_args: Any, **_kwargs: Any) -> None:
        self._last = time.perf_counter()

    def on_step_end(self, *_args: Any, **_kwargs: Any) -> None:
        now = time.perf_counter()
        self.seconds.append(now - self._last)
        self._last = now

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        if logs and "loss" in logs:
            self.losses.append(float(logs["loss"]))
            self._told(f"step {state.global_step}, loss {self.losses[-1]:.4f}, {self.seconds[-1]:.2f} s")


class SameRates(SFTTrainer):  # type: ignore[misc]
    """SFTTrainer under the learning rates of our run."""

    rates: tuple[float, ...] = ()

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        used: Any = optimizer or self.optimizer
        peak = self.args.learning_rate
        self.lr_scheduler = LambdaLR(used, lambda step: self.rates[min(step, len(self.rates) - 1)] / peak)
        self._created_lr_scheduler = True
        return self.lr_scheduler


def take(job: SideJob, told: Callable[[str], None]) -> Turn:
    """One training from load to end."""
    told("importing and loading")
    asked, scratch = job.job, Path(job.folder)
    assert asked.model is not None
    imported = resident()
    model = AutoModelForCausalLM.from_pretrained(
        asked.model.path, dtype=getattr(torch, asked.dtype), local_files_only=True
    )
    loaded = resident()
    clock = Clock(told)
    trainer = _trainer(asked, scratch, model, clock)
    _copy_start(trainer.model, scratch / START)
    trainer.train()
    return Turn(
        seconds=clock.seconds,
        losses=clock.losses,
        rates=list(trainer.rates),
        peak=highest(),
        imported=imported,
        loaded=loaded,
        threads=torch.get_num_threads(),
        dtype=asked.dtype,
        versions={name: version(name) for name in ("torch", "transformers", "peft", "trl")},
    )


def _trainer(asked: TrainJob, scratch: Path, model: Any, clock: Clock) -> SameRates:
    spec = spec_of(asked, scratch)
    rows = [row for batch in json.loads((scratch / ROWS).read_text()) for row in batch]
    assert asked.model is not None
    tokenizer = AutoTokenizer.from_pretrained(asked.model.path, local_files_only=True)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    config = SFTConfig(
        output_dir=str(scratch / "trl"),
        max_steps=asked.steps,
        per_device_train_batch_size=asked.batch,
        learning_rate=asked.rate,
        weight_decay=spec.weight_decay,
        max_grad_norm=spec.clip,
        max_length=asked.length,
        seed=spec.seed,
        gradient_checkpointing=asked.checkpointing,
        bf16=asked.dtype == "bfloat16",
        use_cpu=True,
        train_sampling_strategy="sequential",
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    lora = LoraConfig(
        task_type="CAUSAL_LM",
        r=spec.rank,
        lora_alpha=spec.alpha or 2 * spec.rank,
        lora_dropout=spec.dropout,
        target_modules=target_names(model, spec.targets),
    )
    data = Dataset.from_dict({"input_ids": [row[0] for row in rows], "labels": [row[1] for row in rows]})
    SameRates.rates = tuple(json.loads((scratch / RATES).read_text()))
    return SameRates(
        model=model,
        args=config,
        train_dataset=data,
        processing_class=tokenizer,
        peft_config=lora,
        callbacks=[clock],
    )


def _copy_start(model: Any, path: Path) -> None:
    """The adapter begins as ours did. Raises KeyError where one side adapts other layers."""
    start = load_file(path)
    learning = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    if learning.keys() != start.keys():
        raise KeyError(f"the sides adapt different layers: {sorted(learning.keys() ^ start.keys())[:4]}")
    with torch.no_grad():
        for name, weight in learning.items():
            weight.copy_(start[name])
