"""Packed linear layers: what they compute, which shapes they take, and which way of computing is chosen."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.workers import pace, packed
from engine.workers.packed import ALWAYS, Int4Linear, Int8Linear, PackedLinear, block, kernel_dtype

pytestmark = pytest.mark.engine
KINDS = (Int8Linear, Int4Linear)
NOISE = 0.02
"""Largest difference of two ways through 16 bits, in standard deviations of the result."""


def layer(
    kind: type[PackedLinear], wide: int, out: int, *, bias: bool = False
) -> tuple[nn.Linear, PackedLinear]:
    source = nn.Linear(wide, out, bias=bias, dtype=torch.float32)
    made = kind(source, torch.float32)
    made.pack(source.weight.detach(), torch.bfloat16)
    return source, made


def close(left: torch.Tensor, right: torch.Tensor) -> bool:
    return bool((left.float() - right.float()).abs().max() <= NOISE * right.float().std())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(64, 64), (32, 16), (96, 48), (64, 208), (576, 192)])
@torch.inference_mode()
def test_the_kernel_and_the_unpacked_matmul_compute_the_same(
    kind: type[PackedLinear], shape: tuple[int, int]
) -> None:
    source, made = layer(kind, *shape)
    assert kind.fits(source)
    x = torch.randn(5, shape[0]).bfloat16()
    whole = torch.cat(
        [made.unpacked(at, min(at + 64, shape[1]), torch.float32) for at in range(0, shape[1], 64)], 1
    )
    assert whole.shape == shape
    assert close(made.by_kernel(x), x.float() @ whole)
    assert close(made.by_matmul(x), x.float() @ whole)


@torch.inference_mode()
def test_eight_bits_stay_near_and_four_bits_not_far() -> None:
    for kind, most in ((Int8Linear, 0.006), (Int4Linear, 0.075)):
        source, made = layer(kind, 256, 128)
        weights = made.unpacked(0, 128, torch.float32).T
        assert (weights - source.weight).norm() <= most * source.weight.norm()


@torch.inference_mode()
def test_the_clipped_range_is_better_than_least_and_most(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    weight = torch.randn(64, 256) * torch.rand(64, 256).pow(3)

    def error() -> float:
        made = Int4Linear(nn.Linear(256, 64, bias=False), torch.float32)
        made.pack(weight, torch.bfloat16)
        return float((made.unpacked(0, 64, torch.float32).T - weight).norm())

    searched = error()
    monkeypatch.setattr(packed, "_CLIPS", (1.0,))
    assert searched < error()


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_bias_shape_and_dtype_are_those_of_a_linear(kind: type[PackedLinear]) -> None:
    source, made = layer(kind, 64, 32, bias=True)
    for rows in (ALWAYS, 0):
        made.rows = rows
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            x = torch.randn(2, 3, 64).to(dtype)
            y = made(x)
            assert (y.shape, y.dtype) == ((2, 3, 32), dtype)
            wanted = source(x.float())
            assert (y.float() - wanted).norm() < 0.15 * wanted.norm()


def test_shapes_that_would_crash_the_kernels_do_not_fit() -> None:
    """int8 with 20 inputs reads past its weights: torch checks nothing."""
    assert not Int8Linear.fits(nn.Linear(20, 64))
    assert not Int8Linear.fits(nn.Linear(64, 1))
    assert not Int4Linear.fits(nn.Linear(48, 64))
    assert not Int4Linear.fits(nn.Linear(64, 40))


@torch.inference_mode()
def test_rows_of_zeros_and_of_one_value_survive() -> None:
    weight = torch.zeros(64, 64)
    weight[1] = 0.5
    for kind in KINDS:
        made = kind(nn.Linear(64, 64, bias=False), torch.float32)
        made.pack(weight, torch.bfloat16)
        y = made(torch.ones(1, 64))[0]
        assert torch.isfinite(y).all()
        assert abs(float(y[1]) - 32) < 0.3
        assert abs(float(y[0])) < 1e-3


@torch.inference_mode()
def test_packing_in_parts_gives_what_packing_at_once_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = torch.randn(208, 96)
    for kind in KINDS:
        whole = kind(nn.Linear(96, 208, bias=False), torch.float32)
        whole.pack(weight, torch.bfloat16)
        monkeypatch.setattr(packed, "_AT_ONCE", 96 * 64)
        parts = kind(nn.Linear(96, 208, bias=False), torch.float32)
        parts.pack(weight, torch.bfloat16)
        monkeypatch.undo()
        assert all(torch.equal(tensor, parts.tensors()[name]) for name, tensor in whole.tensors().items())


def test_the_layout_of_four_bits_is_known_here() -> None:
    assert block() in (64, 32, 1)
    assert (kernel_dtype(torch.float32), kernel_dtype(torch.float16)) == (torch.bfloat16, torch.float16)


def test_the_faster_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [layer(Int8Linear, 512, 256)[1] for _ in range(2)]
    costs = {"kernel": 2.0, "matmul": 50.0}  # of one row, and of any number of them
    monkeypatch.setattr(pace, "_kernel", lambda _layer, rows: costs["kernel"] * rows)
    monkeypatch.setattr(pace, "_matmul", lambda _layer, rows, dtype: costs["matmul"])
    pace.choose(made)
    assert [each.rows for each in made] == [16, 16]
    costs["matmul"] = 5000.0
    pace.choose(made)
    assert made[0].rows == ALWAYS


def test_a_packed_layer_has_nothing_to_train() -> None:
    _, made = layer(Int8Linear, 64, 32, bias=True)
    assert not list(made.parameters())
    assert set(made.tensors()) == set(made.layout(torch.bfloat16)) == {"weights", "scales"}
