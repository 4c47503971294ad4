"""`python -m engine.workers.grpo`: one GRPO run by TRL, in a process of its own.

The job comes on stdin as JSON. Each line on stdout is a Told; the parent puts them into the run's log.
SIGTERM ends it after the present step, and the adapter is kept.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from engine.data.load import rows_for
from engine.data.reward import Reward, reward_of
from engine.data.rows import Row
from engine.models.adapter_fit import vocabulary_mark
from engine.models.fingerprint import fingerprint
from engine.protocol.errors import EngineError, ErrorInfo, fault
from engine.protocol.runs import StepPoint
from engine.protocol.training import TrainSpec
from engine.training import RunJob, RunOutcome
from engine.workers.training.outside import Told

ANSWER = 256
"""Tokens of an answer at most."""
METRICS = {
    "reward": "reward",
    "reward_std": "reward_std",
    "completions/mean_length": "answer_tokens",
    "frac_reward_zero_std": "no_difference",
}
"""What TRL logs, by our names."""


def main() -> int:
    """Exit code: 0 when it ended well."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # TRL and a person's reward may print
    lock = threading.Lock()

    def say(told: Told) -> None:
        with lock:
            out.write(msgspec.json.encode(told) + b"\n")
            out.flush()

    try:
        job = msgspec.json.decode(sys.stdin.buffer.read(), type=RunJob)
        outcome = _Grpo(job, say).run()
    except EngineError as error:
        say(Told(fault=error.info))
        return 1
    except Exception as error:  # the process's edge
        say(Told(fault=ErrorInfo("run_failed", "GRPO failed", f"{type(error).__name__}: {error}"[:500])))
        return 1
    say(Told(outcome=outcome))
    return 0


class _Grpo:
    def __init__(self, job: RunJob, say: Callable[[Told], None]) -> None:
        self._job = job
        self._spec = job.spec
        self._say = say
        self._stopped = threading.Event()
        self._last: StepPoint | None = None
        signal.signal(signal.SIGTERM, lambda *_: self._stopped.set())

    def run(self) -> RunOutcome:
        self._say(Told(phase="data"))
        reward = reward_of(self._spec.reward)
        rows = _asked(self._spec, Path(self._job.data))
        steps = self._spec.steps or max(1, math.ceil(self._spec.epochs * len(rows) / self._spec.accumulate))
        self._say(Told(steps=steps))
        self._say(Told(phase="load"))
        trainer, model = self._trainer(rows, reward, steps)
        self._say(Told(phase="train"))
        trainer.train()
        self._say(Told(phase="save", step=self._step))
        adapter = self._save(model) if self._step else ""
        self._say(Told(phase="end", step=self._step))
        return RunOutcome(self._step, adapter, self._last.loss if self._last else None)

    @property
    def _step(self) -> int:
        return self._last.step if self._last else 0

    def _trainer(self, rows: list[dict[str, Any]], reward: Reward, steps: int) -> tuple[Any, Any]:
        """TRL's trainer over our adapter, and the adapter's model."""
        from datasets import Dataset
        from trl import GRPOConfig, GRPOTrainer

        from engine.workers.training.adapter import with_lora
        from engine.workers.training.apart import base_apart

        spec = self._spec
        base = base_apart(self._job, self._stopped)
        model = with_lora(base.pristine, spec, base.reference)
        config = GRPOConfig(
            output_dir=str(Path(self._job.folder) / "trl"),
            max_steps=steps,
            per_device_train_batch_size=spec.batch,
            num_generations=spec.batch,
            gradient_accumulation_steps=spec.accumulate,
            max_completion_length=min(ANSWER, spec.length),
            learning_rate=spec.rate,
            lr_scheduler_type=spec.schedule,
            warmup_steps=round(spec.warmup * steps),
            weight_decay=spec.weight_decay,
            max_grad_norm=spec.clip or math.inf,
            beta=0.0,
            seed=spec.seed,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            bf16=False,
            use_cpu=base.device.type == "cpu",
            gradient_checkpointing=spec.checkpointing == "on",
        )
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=[_called(reward)],
            args=config,
            train_dataset=Dataset.from_list(rows),
            processing_class=base.labeller.tokenizer,
            callbacks=[self._callback()],
        )
        return trainer, model

    def _callback(self) -> Any:
        from transformers import TrainerCallback

        run = self
        began = time.monotonic()

        class Telling(TrainerCallback):
            def on_log(self, args: Any, state: Any, control: Any, **more: Any) -> None:
                nonlocal began
                logs = more.get("logs") or {}
                if "loss" in logs:
                    now = time.monotonic()
                    run._point(state, logs, now - began)
                    began = now

            def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
                control.should_training_stop = control.should_training_stop or run._stopped.is_set()

        return Telling()

    def _point(self, state: Any, logs: dict[str, float], seconds: float) -> None:
        self._last = StepPoint(
            state.global_step,
            loss=float(logs["loss"]),
            rate=float(logs.get("learning_rate", 0.0)),
            grad_norm=float(logs.get("grad_norm", 0.0)),
            seconds=seconds,
            at=time.time(),
            epoch=float(logs.get("epoch", 0.0)),
            metrics={ours: float(logs[theirs]) for theirs, ours in METRICS.items() if theirs in logs},
        )
        self._say(Told(point=self._last))

    def _save(self, model: Any) -> str:
        from engine.workers.training.adapter import model_card, save_adapter

        spec, info = self._spec, self._job.model
        folder = Path(self._job.folder) / "adapter"
        note = {
            "name": spec.name,
            "run": self._job.id,
            "step": self._step,
            "loss": self._last.loss if self._last else None,
            "base": info.id,
            "base_fingerprint": fingerprint(Path(info.path)),
            "vocabulary": vocabulary_mark(Path(info.path)),
            "method": spec.method,
            "quant": spec.quant,
        }
        facts = {
            "base": info.name,
            "data": Path(self._job.data).name,
            "objective": f"GRPO by TRL, reward {Path(spec.reward or 'exact').name}",
            "steps": f"{self._step}, {spec.batch} answers to a prompt",
        }
        save_adapter(model, folder, note, model_card(spec, info, facts))
        return str(folder)


def _asked(spec: TrainSpec, path: Path) -> list[dict[str, Any]]:
    """Prompts, each with the answer that its row has."""
    rows = [row for row in rows_for(spec, path) if isinstance(row, Row)]
    if not rows:
        raise fault("data_empty", "There is no prompt in the data")
    return [
        {
            "prompt": [{"role": said.role, "content": said.content} for said in row.messages[:-1]],
            "expected": row.messages[-1].content,
        }
        for row in rows
    ]


def _called(reward: Reward) -> Callable[..., list[float | None]]:
    """As TRL calls it: all answers of a step at once."""

    def rewards(prompts: Any, completions: Any, expected: Any, **_: Any) -> list[float | None]:
        return [
            reward(prompt[-1]["content"], answer[0]["content"], right)
            for prompt, answer, right in zip(prompts, completions, expected, strict=True)
        ]

    return rewards


if __name__ == "__main__":
    sys.exit(main())
