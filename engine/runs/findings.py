"""What the curve of a run says of its health, one line each; pure, over the points as they come."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable

from engine.protocol.runs import RunFinding, StepPoint

FIRST = 5
"""Steps whose middle loss and gradient norm the later ones are measured by."""
IN_A_ROW = 3
"""Points that must agree: one bad batch is no finding."""
RECENT = 20
"""Steps that a spike is told from."""
PATIENCE = 30
"""Steps before a run that has learnt nothing is called so."""
STALL_SECONDS = 60.0
"""Without a step at least, and STALL_STEPS times the usual time of one."""
STALL_STEPS = 10.0


class Watcher:
    """Follows one run; each kind of finding is told once."""

    def __init__(self, rate: float = 0.0, usual: float = 0.0, told: Iterable[str] = ()) -> None:
        """`rate`: the run's peak; `usual`: what a run of this method on this model takes, 0 where unknown;
        `told`: codes of what was found before the run was taken up again."""
        self._low_rate = bool(rate and usual and rate < usual / 10)
        self._rate = rate
        self._usual = usual
        self._losses: list[float] = []
        """The first PATIENCE of them."""
        self._norms: list[float] = []
        """The first FIRST of them."""
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._still = self._high = 0
        """Points in a row without a gradient, and far above the beginning."""
        self._stretch: list[float] = []
        """Losses since the last evaluation."""
        self._best: tuple[float, float] | None = None
        """The lowest eval loss, and the training loss then."""
        self._worse = 0
        """Evaluations in a row that were worse than the best while the loss fell."""
        self._told = set(told)

    def expect(self, usual: float) -> None:
        """What a rate usually is here, once the model is known."""
        self._usual = usual
        self._low_rate = bool(self._rate and usual and self._rate < usual / 10)

    def waits(self, step: int, usual_s: float, waited_s: float) -> RunFinding | None:
        """Whether the run stalls, told once."""
        found = stalled(step, usual_s, waited_s) if usual_s and "stalled" not in self._told else None
        if found is not None:
            self._told.add(found.code)
        return found

    def add(self, point: StepPoint) -> tuple[RunFinding, ...]:
        """What is new with this point."""
        if point.loss is None:
            found = [] if point.eval_loss is None else [self._overfits(point.step, point.eval_loss)]
        else:
            # In this order: what one says of the step, the next must not say in other words.
            found = [self._explodes(point, point.loss), self._spikes(point, point.loss)]
            found += [self._is_dead(point), self._learns_nothing(point, point.loss)]
            self._remember(point, point.loss)
        fresh = []
        for finding in found:
            if finding is not None and finding.code not in self._told:
                self._told.add(finding.code)
                fresh.append(finding)
        return tuple(fresh)

    def _remember(self, point: StepPoint, loss: float) -> None:
        if len(self._losses) < PATIENCE:
            self._losses.append(loss)
        if len(self._norms) < FIRST:
            self._norms.append(point.grad_norm)
        self._recent.append(loss)
        self._stretch.append(loss)

    def _explodes(self, point: StepPoint, loss: float) -> RunFinding | None:
        if len(self._losses) < FIRST:
            return None
        start = statistics.median(self._losses[:FIRST])
        norm = statistics.median(self._norms)
        steep = norm > 0 and point.grad_norm > 30 * norm and loss > start
        self._high = self._high + 1 if loss > 1.3 * start + 0.2 or steep else 0
        if self._high < IN_A_ROW:
            return None
        title = f"The loss rose from {start:.2f} to {loss:.2f}: the learning rate looks too high"
        return RunFinding("rate_too_high", point.step, title, "run.tweak")

    def _spikes(self, point: StepPoint, loss: float) -> RunFinding | None:
        if len(self._recent) < RECENT // 2:
            return None
        middle = statistics.median(self._recent)
        spread = statistics.median(abs(each - middle) for each in self._recent)
        if "rate_too_high" in self._told or loss <= 2 * middle or loss - middle <= max(10 * spread, 0.3):
            return None
        title = f"The loss jumped to {loss:.2f} at step {point.step}, from about {middle:.2f}"
        return RunFinding("loss_spike", point.step, title, "data.check")

    def _is_dead(self, point: StepPoint) -> RunFinding | None:
        moved = point.metrics.get("adapter_norm")
        still = point.grad_norm <= 0.0 or (moved is not None and moved <= 0.0 and point.step > FIRST)
        self._still = self._still + 1 if still else 0
        if self._still < IN_A_ROW:
            return None
        title = "Nothing reaches the adapter: its gradient is 0, so the run changes nothing"
        return RunFinding("dead_adapter", point.step, title, "run.stop")

    def _learns_nothing(self, point: StepPoint, loss: float) -> RunFinding | None:
        if not self._low_rate or len(self._losses) < PATIENCE:
            return None
        start = statistics.median(self._losses[:FIRST])
        now = statistics.median([*list(self._recent)[-(2 * FIRST) :], loss])
        if start <= 0 or now < 0.98 * start:
            return None
        title = f"The loss stays at {now:.2f}: a rate of {self._rate:g} is low, {self._usual:g} is usual here"
        return RunFinding("not_learning", point.step, title, "run.tweak")

    def _overfits(self, step: int, eval_loss: float) -> RunFinding | None:
        learnt = statistics.fmean(self._stretch) if self._stretch else None
        self._stretch.clear()
        if learnt is None:  # the evaluation before the first step
            return None
        if self._best is None or eval_loss < self._best[0]:
            self._best, self._worse = (eval_loss, learnt), 0
            return None
        best, then = self._best
        self._worse = self._worse + 1 if eval_loss > 1.02 * best and learnt < then else 0
        if self._worse < 2:
            return None
        title = (
            f"Eval loss rises ({best:.2f} to {eval_loss:.2f}) while the loss falls: "
            "the rows are learnt by heart"
        )
        return RunFinding("overfit", step, title, "run.stop")


def stalled(step: int, usual_s: float, waited_s: float) -> RunFinding | None:
    """Whether no step came for too long. `usual_s`: seconds that one takes; `waited_s`: since the last."""
    if waited_s < max(STALL_SECONDS, STALL_STEPS * usual_s):
        return None
    title = f"No step for {waited_s:.0f} seconds, where one took {usual_s:.1f}"
    return RunFinding("stalled", step, title, "run.stop")
