"""`python -m tests.bench.beside [FOLDER]`: a chat with and without a run beside it, on one copy of weights.

Prints tokens/s of the chat alone and beside the run, and the peak memory of chat, run and both, each in a
process of its own. The greedy texts of both chats are compared first: a ratio counts only when they agree.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ANSWERS = 3
"""Replies a measurement; the first warms up and is left out."""
TOKENS = 64


def main() -> None:
    """Measure in three processes, print one table."""
    folder = sys.argv[1] if len(sys.argv) > 1 else ""
    results = {part: _in_process(part, folder) for part in ("chat", "run", "both")}
    assert results["chat"]["texts"] == results["both"]["texts"], "the chat said something else beside the run"
    alone, beside = results["chat"]["tokens_per_s"], results["both"]["tokens_per_s"]
    peaks = {part: result["peak_mib"] for part, result in results.items()}
    print(f"chat alone       {alone:8.1f} tokens/s")
    print(f"chat beside run  {beside:8.1f} tokens/s   ratio {beside / alone:.2f}, same greedy text")
    print(f"peak memory      chat {peaks['chat']:.0f}, run {peaks['run']:.0f}, both {peaks['both']:.0f} MiB")
    print(f"both against the run alone: {peaks['both'] / peaks['run']:.2f}")


def _in_process(part: str, folder: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.beside", "--part", part, folder],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def measure(part: str, folder: str) -> dict[str, object]:
    """One part in this process: `chat`, `run` or `both`."""
    from engine.backend import LoadSpec
    from engine.models.describe import describe
    from engine.models.discover import demo_path
    from engine.workers.backend import create

    path = Path(folder) if folder else demo_path()
    info = describe(path, path.name, path.name, "folder")
    backend = create()
    backend.load(LoadSpec(info), lambda *_: None, threading.Event())
    stop, started = threading.Event(), threading.Event()
    run = threading.Thread(target=_train, args=(backend, info, stop, started))
    if part != "chat":
        run.start()
        started.wait()
    texts, speed = _chat(backend, info.id) if part != "run" else ([], 0.0)
    if part == "run":
        time.sleep(10)  # as long as the chat takes, so that both runs reach their longest rows
    stop.set()
    if run.ident:
        run.join()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"texts": texts, "tokens_per_s": speed, "peak_mib": peak}


def _chat(backend: object, model: str) -> tuple[list[str], float]:
    from engine.backend import ReplySpec, Turn
    from engine.protocol.specs import ChatSettings, Sampling
    from tests.support.sink import RecordedReply

    settings = ChatSettings(think=False, sampling=Sampling(temperature=0, max_tokens=TOKENS))
    texts, tokens, seconds = [], 0, 0.0
    for number in range(ANSWERS):
        spec = ReplySpec(model, str(number), (Turn("user", "Say what you can do, at length."),), settings)
        began = time.perf_counter()
        result = backend.reply(spec, RecordedReply())
        if number:
            tokens += result.stats.tokens
            seconds += time.perf_counter() - began
        texts.append(result.text)
        time.sleep(0.5)  # the run goes on between two replies
    return texts, tokens / seconds


def _train(backend: object, info: object, stop: threading.Event, started: threading.Event) -> None:
    from engine.data.shipped import shipped_path
    from engine.data.spec_file import filled
    from engine.protocol.runs import StepPoint, TrainSpec
    from engine.training import RunJob
    from tests.support.tiny_run import RecordedRun

    def begun(_: RecordedRun, point: StepPoint) -> None:
        if point.loss is not None:
            started.set()

    sink = RecordedRun(begun)
    sink.stopped = stop
    data = shipped_path("shipped:pirate")
    spec = filled(TrainSpec(info.id, str(data), steps=100_000, eval_fraction=0.0, eval_every=99_999), info)
    with tempfile.TemporaryDirectory() as folder:
        job = RunJob("bench", folder, spec, info, str(data))
        backend.trainer.train(job, sink, save_on_stop=threading.Event())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--part"]:
        print(json.dumps(measure(sys.argv[2], sys.argv[3])))
    else:
        main()
