"""The trackers themselves. Each writes here on this machine, unless the person has set up an address."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.protocol.runs import RunInfo
from engine.protocol.training import Tracker as Name
from engine.workers.tracking.numbers import Tracker, settings

PROJECT = "qwill"


class TensorBoard:
    """Event files under the run's `tensorboard/`, by the tensorboard package, without torch."""

    def __init__(self, run: Path, info: RunInfo, since: int) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event, self._summary = event_pb2.Event, summary_pb2.Summary
        self.place = str(run / "tensorboard")
        self._writer: Any = EventFileWriter(self.place, flush_secs=5)
        if since:  # steps after it, of a try that was killed, are hidden
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self._writer.add_event(event_pb2.Event(wall_time=info.started, step=since + 1, session_log=start))

    def add(self, step: int, at: float, numbers: dict[str, float]) -> None:
        values = [self._summary.Value(tag=name, simple_value=value) for name, value in numbers.items()]
        self._writer.add_event(self._event(wall_time=at, step=step, summary=self._summary(value=values)))

    def close(self, state: str) -> None:
        self._writer.close()


class Trackio:
    """trackio's own SQLite file on this machine (TRACKIO_DIR)."""

    def __init__(self, run: Path, info: RunInfo, since: int) -> None:
        import trackio
        from trackio.utils import TRACKIO_DIR

        self._trackio: Any = trackio
        self.place = str(TRACKIO_DIR)
        trackio.init(
            project=PROJECT, name=info.id, config=dict(settings(info)), resume="allow", embed=False,
            auto_log_gpu=False, auto_log_cpu=False,
        )  # fmt: skip

    def add(self, step: int, at: float, numbers: dict[str, float]) -> None:
        self._trackio.log(numbers, step=step)

    def close(self, state: str) -> None:
        self._trackio.finish()


class WandB:
    """Weights & Biases: offline under the run's `wandb/`, unless the person logged in or set WANDB_MODE."""

    def __init__(self, run: Path, info: RunInfo, since: int) -> None:
        import wandb

        mode = os.environ.get("WANDB_MODE") or ("online" if os.environ.get("WANDB_API_KEY") else "offline")
        self.place = str(run / "wandb") if mode == "offline" else "wandb"
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=info.id,
            name=info.name,
            dir=str(run),
            config=settings(info),
            mode=mode,
            resume="allow",
        )

    def add(self, step: int, at: float, numbers: dict[str, float]) -> None:
        self._run.log(numbers, step=step)

    def close(self, state: str) -> None:
        self._run.finish(exit_code=1 if state == "failed" else 0)


class MLflow:
    """MLflow: `mlflow.db` in the run's folder, unless the person set MLFLOW_TRACKING_URI."""

    def __init__(self, run: Path, info: RunInfo, since: int) -> None:
        from mlflow.entities import Metric, Param
        from mlflow.tracking import MlflowClient

        self.place = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{run / 'mlflow.db'}"
        self._metric = Metric
        self._client: Any = MlflowClient(self.place)
        known = self._client.get_experiment_by_name(PROJECT)
        experiment = known.experiment_id if known else self._client.create_experiment(PROJECT)
        self._run = self._client.create_run(experiment, run_name=info.id).info.run_id
        params = [Param(name, str(value)[:500]) for name, value in settings(info).items()]
        self._client.log_batch(self._run, params=params)

    def add(self, step: int, at: float, numbers: dict[str, float]) -> None:
        when = int(at * 1000)
        self._client.log_batch(
            self._run, metrics=[self._metric(name, value, when, step) for name, value in numbers.items()]
        )

    def close(self, state: str) -> None:
        self._client.set_terminated(self._run, "FAILED" if state == "failed" else "FINISHED")


TRACKERS: dict[Name, Callable[[Path, RunInfo, int], Tracker]] = {
    "tensorboard": TensorBoard,
    "trackio": Trackio,
    "wandb": WandB,
    "mlflow": MLflow,
}
