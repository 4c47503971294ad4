"""`python -m engine.workers.harness JSON`: tasks of lm-evaluation-harness, a line of JSON for each stride.

JSON: {"model": FOLDER, "adapter": FOLDER or "", "tasks": [...], "limit": N}. Lines: {"done": N, "total": N},
then {"scores": [{"task", "metric", "value", "error"}]} or {"error": ...}.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

EVERY = 0.5
"""Seconds between two lines of progress at least."""


def main() -> int:
    """Exit code: 0 when there are scores."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the harness prints

    def say(line: dict[str, Any]) -> None:
        out.write(json.dumps(line) + "\n")
        out.flush()

    try:
        scores = _measured(json.loads(sys.argv[1]), say)
    except Exception as error:  # the process's edge
        say({"error": f"{type(error).__name__}: {error}"[:800]})
        return 1
    say({"scores": scores})
    return 0


def _measured(asked: dict[str, Any], say: Any) -> list[dict[str, Any]]:
    from lm_eval import simple_evaluate
    from lm_eval.models import huggingface
    from lm_eval.tasks import TaskManager

    from engine.workers.device import pick_device

    vars(huggingface)["tqdm"] = _counting(say)
    names, folders = _tasks(asked["tasks"])
    model = huggingface.HFLM(
        pretrained=asked["model"],
        peft=asked["adapter"] or None,
        device=str(pick_device()),
        batch_size=4,
        dtype="auto",
    )
    found = simple_evaluate(
        model,
        tasks=names,
        task_manager=TaskManager(include_path=folders or None),
        limit=asked["limit"] or None,
        bootstrap_iters=100,
        log_samples=False,
    )
    return _scores(found["results"])


def _tasks(wanted: list[str]) -> tuple[list[str], list[str]]:
    """(names, folders to look for them in): a YAML file is a task of the name that it says."""
    names, folders = [], []
    for task in wanted:
        path = Path(task).expanduser()
        if path.suffix in (".yaml", ".yml"):
            folders.append(str(path.parent.absolute()))
            names.append(_name_in(path))
        else:
            names.append(task)
    return names, folders


def _name_in(path: Path) -> str:
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "task" and value.strip():
            return value.strip().strip("\"'")
    return path.stem


def _counting(say: Any) -> Any:
    """A progress bar that is lines of JSON."""
    from tqdm import tqdm

    class Counting(tqdm):  # type: ignore[type-arg]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **(options | {"file": open(os.devnull, "w"), "disable": False}))  # noqa: SIM115
            self._said = 0.0

        def update(self, n: float | None = 1) -> bool | None:
            found = super().update(n)
            now = time.monotonic()
            if now - self._said >= EVERY or self.n == self.total:
                self._said = now
                say({"done": int(self.n), "total": int(self.total or 0)})
            return found

    return Counting


def _scores(results: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for task, numbers in results.items():
        for metric, value in numbers.items():
            name, _, which = metric.partition(",")
            if not isinstance(value, int | float) or not which or name.endswith("_stderr"):
                continue
            error = numbers.get(f"{name}_stderr,{which}")
            score = {"task": task, "metric": metric, "value": float(value)}
            found.append(score | {"error": float(error) if isinstance(error, int | float) else None})
    return found


if __name__ == "__main__":
    sys.exit(main())
