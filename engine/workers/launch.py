"""One run by one process or several: `torchrun --nproc_per_node 2 -m engine.workers.launch run.toml`.

The loop, the data, the log and the checkpoints are the engine's own. `batch` is of one process: a step with
batch 2 on four processes sees what a step with batch 8 on one sees, in the same order, with the same loss.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from engine.data.place import data_path
from engine.data.shipped import PREFIX
from engine.data.spec_file import checked, load_spec
from engine.models.discover import discover, find
from engine.protocol.errors import EngineError, fault
from engine.protocol.runs import RunInfo, RunState, StepPoint
from engine.protocol.specs import ModelInfo
from engine.protocol.training import TrainSpec
from engine.runs import checkpoints, log
from engine.runs.prepare import data_hash, settled, trainable, versions
from engine.training import RunJob, RunOutcome

ABOUT = """\
Train RUN.toml with as many processes as torchrun or `accelerate launch` start; one without either.
`batch` is of one process. The first process writes run.toml, info.json, events.jsonl, the checkpoints and
the adapter (or the model) into --out, as the engine does for a run of its own.
"""
END = """\
SIGTERM and Ctrl+C end the run after its present step, with a checkpoint that --resume goes on from, with any
number of processes. `accelerate launch --cpu --num_processes 2` starts one process; torchrun starts two.

with --json:
  one object a step (step, loss, eval_loss, rate, tokens, seconds), then a record with state, world,
  backend, sharded, losses, step_seconds, folder and adapter_folder.

examples:
  torchrun --nproc_per_node 2 -m engine.workers.launch run.toml --out pirate
  torchrun --nproc_per_node 8 -m engine.workers.launch run.toml --fsdp --processes 8
  accelerate launch -m engine.workers.launch run.toml
"""
if TYPE_CHECKING:
    from engine.workers.training.file_sink import FileSink

WAIT = datetime.timedelta(hours=1)
"""That a rank waits for the others, e.g. while the first one writes a checkpoint."""
DONE, FAILED, USAGE = 0, 1, 2


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 failed or stopped, 2 wrong usage."""
    args = _arguments(argv)
    first = int(os.environ.get("RANK", "0")) == 0
    try:
        return _launched(args, first=first)
    except EngineError as error:
        if first or error.info.code not in ("spec_wrong", "launch_folder"):  # all ranks say the same there
            _complain(error, as_json=args.json)
        return FAILED


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "python -m engine.workers.launch", description=ABOUT, epilog=END, formatter_class=raw
    )
    parser.add_argument("spec", metavar="RUN.toml", help="the run; `qwill runs show` has one for every run")
    parser.add_argument("--out", metavar="FOLDER", default="", help="where to write (the run's name, here)")
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint in --out")
    parser.add_argument("--processes", metavar="N", type=int, default=0, help="refuse to start with others")
    parser.add_argument(
        "--fsdp",
        action="store_true",
        help="share the layers between the processes (torch's fully_shard); accelerate's config can ask too",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")
    return parser.parse_args(argv)


def _launched(args: argparse.Namespace, *, first: bool) -> int:
    world = int(os.environ.get("WORLD_SIZE", "1"))
    _check_world(world, args.processes, first=first)
    from engine.workers.training.ranks import check_dealt  # torch takes seconds to import

    spec, model, data = _read(Path(args.spec))
    check_dealt(spec, world)
    place = Path(args.out or spec.name).absolute()
    checkpoint = _checkpoint(place, resume=args.resume)
    whole = replace(spec, batch=spec.batch * world)
    job = RunJob(place.name, str(place), whole, model, str(data), checkpoint)
    with _group(world, model) as backend:
        return _Launch(job, args, world, backend).run()


def _check_world(world: int, wanted: int, *, first: bool) -> None:
    """Refuse what was not asked for, and say what people fall for."""
    if wanted and wanted != world:
        raise fault(
            "wrong_world",
            f"{wanted} processes were asked for, and {world} {'is' if world == 1 else 'are'} here",
            "`accelerate launch --cpu` starts one process whatever its number" if world == 1 else "",
            f"Start it with `torchrun --nproc_per_node {wanted} -m engine.workers.launch`",
        )
    if world == 1 and first and any(name.startswith("ACCELERATE_") for name in os.environ):
        _say(
            "accelerate started one process only, so this is a run of one. "
            "Use torchrun for several, and --processes N to be sure."
        )
    if os.environ.get("ACCELERATE_USE_DEEPSPEED", "").lower() == "true":
        raise fault(
            "deepspeed_unsupported",
            "DeepSpeed does not run Qwill's loop",
            "Its engine wants the forward, the backward and the optimiser for itself",
            "Use --fsdp, which shares weights, gradients and moments as ZeRO-3 does",
        )


def _read(path: Path) -> tuple[TrainSpec, ModelInfo, Path]:
    """The spec with nothing left open, its base and its data; files are named from run.toml's folder."""
    spec = load_spec(path)
    here = path.absolute().parent
    wanted = str(here / spec.model) if spec.model.startswith(".") else spec.model
    model = trainable(find(wanted, discover()), spec.objective)
    named = spec.data if spec.data.startswith((PREFIX, "~")) else str(here / spec.data)
    data = data_path(named)
    tested = spec.eval_data
    if tested and not tested.startswith((PREFIX, "~")):
        tested = str(here / tested)
    return settled(checked(replace(spec, eval_data=tested)), model, data), model, data


def _checkpoint(place: Path, *, resume: bool) -> str:
    """Folder of the checkpoint to go on from; empty begins anew."""
    if not resume:
        if (place / log.NAME).exists():
            raise fault(
                "launch_folder",
                f"{place} has a run in it already",
                remedy="Add --resume to go on with it, or give --out another folder",
            )
        return ""
    found, skipped = checkpoints.newest(place)
    if found is None:
        raise fault("launch_folder", f"{place} has no checkpoint to go on from", "; ".join(skipped))
    return str(found)


@contextlib.contextmanager
def _group(world: int, model: ModelInfo) -> Iterator[str]:
    """The processes' group, nccl on CUDA and gloo elsewhere; its name, empty for one process."""
    import torch
    import torch.distributed as dist

    from engine.workers.device import use_threads

    use_threads(model.parameters)
    if world == 1:
        yield ""
        return
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    backend = "nccl" if cuda else "gloo"
    dist.init_process_group(backend, timeout=WAIT)
    try:
        yield backend
    finally:
        dist.destroy_process_group()


class _Launch:
    """What one process does."""

    def __init__(self, job: RunJob, args: argparse.Namespace, world: int, backend: str) -> None:
        from engine.workers.training.file_sink import FileSink, QuietSink
        from engine.workers.training.ranks import Dealt, Ranks
        from engine.workers.training.sharded import Sharded

        self._args = args
        self._world, self._backend = world, backend
        self._sharded = world > 1 and (args.fsdp or os.environ.get("ACCELERATE_USE_FSDP", "") == "true")
        self._ranks: Ranks = Ranks()
        if world > 1:
            self._ranks = Sharded(job.spec) if self._sharded else Dealt()
        self._first = self._ranks.index == 0
        if not self._first and self._ranks.whole:
            job = replace(job, spec=replace(job.spec, samples=()))  # the first one answers them
        self._job = job
        info = _info(job, world, backend)
        self._file = FileSink(Path(job.folder), info, self._tell) if self._first else None
        self._sink = self._file or QuietSink()

    def run(self) -> int:
        from engine.workers.gate import Gate
        from engine.workers.training.apart import base_apart
        from engine.workers.training.run import Run

        self._listen()
        keep = threading.Event()
        keep.set()
        try:
            base = base_apart(self._job, self._sink.stopped)
            run = Run(self._job, base, self._sink, Gate(), self._ranks)
            outcome = run.run(keep)
        except EngineError as error:
            self._failed(error)
            raise
        return self._ended(outcome)

    def _listen(self) -> None:
        """A signal ends the run after the step that all ranks are at."""
        asked = self._ranks.asked if self._world > 1 else self._sink.stopped  # type: ignore[attr-defined]
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: asked.set())

    def _ended(self, outcome: RunOutcome) -> int:
        stopped = self._sink.stopped.is_set()
        if self._file is not None:
            self._record(self._file, outcome, "stopped" if stopped else "done")
        return FAILED if stopped else DONE

    def _failed(self, error: EngineError) -> None:
        if self._file is not None:
            self._file.keep(replace(self._file.info, state="failed", ended=time.time(), error=error.info))
            self._file.close()

    def _record(self, file: FileSink, outcome: RunOutcome, state: RunState) -> None:
        """The end, in the run's files and on stdout."""
        info = replace(file.info, state=state, ended=time.time(), forgetting=outcome.forgetting)
        file.keep(info)
        file.close()
        record: dict[str, Any] = {
            "state": state,
            "world": self._world,
            "backend": self._backend,
            "sharded": self._sharded,
            "step": outcome.step,
            "losses": file.losses,
            "step_seconds": file.seconds,
            "eval_loss": outcome.eval_loss,
            "folder": self._job.folder,
            "adapter_folder": outcome.adapter,
        }
        if self._args.json:
            _say(json.dumps(record))
        else:
            where = outcome.adapter or "nothing was saved"
            _say(f"{state} at step {outcome.step}, {self._world} processes: {where}")

    def _tell(self, point: StepPoint) -> None:
        if self._args.json:
            shown = ("step", "loss", "eval_loss", "rate", "tokens", "seconds")
            _say(json.dumps({name: getattr(point, name) for name in shown}))
        elif point.loss is not None:
            _say(f"step {point.step}  loss {point.loss:.4f}  {point.seconds:.2f} s")
        elif point.eval_loss is not None:
            _say(f"step {point.step}  eval loss {point.eval_loss:.4f}")


def _info(job: RunJob, world: int, backend: str) -> RunInfo:
    alike = f"{world}, {backend}" if world > 1 else "1"
    now = time.time()
    return RunInfo(
        id=job.id,
        spec=job.spec,
        name=job.spec.name,
        state="running",
        created=now,
        started=now,
        data_hash=data_hash(Path(job.data)),
        versions=versions() | {"processes": alike},
        tags=job.spec.tags,
    )


def _complain(error: EngineError, *, as_json: bool) -> None:
    if as_json:
        info = error.info
        shown = {name: getattr(info, name) for name in info.__struct_fields__}
        _say(json.dumps({"error": shown}))
    else:
        sys.stderr.write(f"qwill: {error.info.sentence()}\n")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
