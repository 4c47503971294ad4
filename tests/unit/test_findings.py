"""What a run's curve says of its health: each finding from its own curve, once; none from a healthy one."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

from engine.protocol.runs import RunFinding, StepPoint
from engine.runs.findings import Watcher, stalled


def codes(points: Iterable[StepPoint], rate: float = 0.0, usual: float = 0.0) -> list[str]:
    watcher = Watcher(rate, usual)
    return [finding.code for point in points for finding in watcher.add(point)]


def steps(losses: Iterable[float], norm: float = 1.0) -> list[StepPoint]:
    return [StepPoint(n, loss=loss, grad_norm=norm) for n, loss in enumerate(losses, 1)]


def healthy(count: int = 200) -> list[float]:
    draw = random.Random(0)
    return [0.4 + 2 * math.exp(-n / 40) + draw.uniform(-0.15, 0.15) for n in range(count)]


def test_a_healthy_run_has_no_findings() -> None:
    points = steps(healthy())
    points += [StepPoint(200, eval_loss=0.5), StepPoint(200, eval_loss=0.505)]
    assert codes(points, rate=1e-3, usual=1e-3) == []


def test_a_loss_that_climbs_says_that_the_rate_is_too_high_once() -> None:
    assert codes(steps([2.0] * 6 + [2.5, 3.0, 3.5, 4.0, 4.5, 5.0])) == ["rate_too_high"]


def test_one_bad_batch_is_no_exploding_run_but_a_spike() -> None:
    assert codes(steps([*healthy(60), 6.0, *healthy(200)[60:90]])) == ["loss_spike"]


def test_gradients_that_explode_with_the_loss_count_too() -> None:
    points = steps([2.0] * 6) + [StepPoint(6 + n, loss=2.2, grad_norm=90.0) for n in range(1, 5)]
    assert codes(points) == ["rate_too_high"]


def test_an_adapter_without_a_gradient_is_dead() -> None:
    assert codes(steps([2.0] * 5, norm=0.0)) == ["dead_adapter"]
    assert codes([*steps([2.0] * 2, norm=0.0), *steps([2.0] * 2)]) == []


def test_a_flat_loss_is_told_only_where_the_rate_is_far_too_low() -> None:
    flat = steps([2.0 + 0.01 * (n % 3) for n in range(60)])
    assert codes(flat, rate=1e-6, usual=2e-4) == ["not_learning"]
    assert codes(flat, rate=2e-4, usual=2e-4) == []


def curve_with_evals(evals: Iterable[float], losses: Iterable[float]) -> list[StepPoint]:
    points = [StepPoint(0, eval_loss=2.0)]
    for n, (tested, loss) in enumerate(zip(evals, losses, strict=True)):
        points += [StepPoint(10 * n + k + 1, loss=loss, grad_norm=1.0) for k in range(10)]
        points.append(StepPoint(10 * n + 10, eval_loss=tested))
    return points


def test_eval_that_rises_while_the_loss_falls_is_overfitting() -> None:
    assert codes(curve_with_evals([1.5, 1.2, 1.3, 1.4, 1.6], [1.6, 1.2, 0.9, 0.6, 0.4])) == ["overfit"]


def test_one_worse_evaluation_is_not_overfitting() -> None:
    assert codes(curve_with_evals([1.5, 1.2, 1.3, 1.1, 1.0], [1.6, 1.2, 0.9, 0.6, 0.4])) == []


def test_a_step_that_does_not_come_stalls_the_run() -> None:
    assert stalled(7, usual_s=2.0, waited_s=50.0) is None
    assert stalled(7, usual_s=20.0, waited_s=150.0) is None
    found = stalled(7, usual_s=2.0, waited_s=61.0)
    assert isinstance(found, RunFinding)
    assert found.code == "stalled"
