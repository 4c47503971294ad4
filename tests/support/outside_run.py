"""A process that says it trains: steps until SIGTERM, then how it ended. Its job's name says what it does."""

from __future__ import annotations

import signal
import sys
import threading

import msgspec

from engine.protocol.errors import ErrorInfo
from engine.protocol.runs import StepPoint
from engine.training import RunJob, RunOutcome
from engine.workers.training.outside import Told

stopped = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stopped.set())
job = msgspec.json.decode(sys.stdin.buffer.read(), type=RunJob)


def say(told: Told) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
    sys.stdout.flush()


say(Told(steps=9))
say(Told(phase="train"))
if job.id == "fails":
    say(Told(fault=ErrorInfo("run_failed", "It fell over")))
    sys.exit(1)
if job.id == "vanishes":
    sys.exit(3)
for step in range(1, 4):
    say(Told(point=StepPoint(step, loss=1.0 / step)))
if job.id == "long":
    stopped.wait(60)
say(Told(outcome=RunOutcome(3, loss=0.25)))
