"""Linear layers whose weights stay packed in 8 or 4 bits, on torch's own CPU kernels. Inference only."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import nn

GROUP = 32
"""Weights of a row that share a scale and a zero in 4 bits."""
LEAST_OUT = 16
"""Narrower layers (gates of experts) weigh nothing, and their few values matter."""
ALWAYS = 1 << 60
"""As `rows`: the kernel computes however many rows there are."""
_CLIPS = (1.0, 0.94, 0.88, 0.82, 0.76)
"""Shares of a group's range that 4 bits may cover; the one with the smallest squared error is taken."""
_AT_ONCE = 1 << 19
"""Weights that are packed at once, which bounds the memory that packing needs."""
_BLOCKS = (64, 32, 1)
"""Rows that torch interleaves in a packed 4-bit block, by instruction set (int4mm_kernel.cpp); 1 is none."""


class PackedLinear(nn.Module):
    """`x @ weight.T + bias` like nn.Linear; the weights are buffers, so nothing can train or wrap them."""

    rows = ALWAYS
    """Up to so many rows of `x` the kernel computes, and beyond a matmul over unpacked weights."""
    whole_dtype = torch.float32
    """That matmul's."""
    scales: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, source: nn.Linear, dtype: torch.dtype) -> None:
        """Shape and bias of `source`; the weights are set by `pack`, or by `fill` from the disk."""
        super().__init__()
        self.in_features, self.out_features = source.in_features, source.out_features
        bias = None if source.bias is None else source.bias.detach().to(dtype)
        self.register_buffer("bias", bias)

    @classmethod
    def fits(cls, source: nn.Linear) -> bool:
        """Whether the kernel can take this shape. It checks nothing by itself: a wrong shape can crash."""
        raise NotImplementedError

    def layout(self, dtype: torch.dtype) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
        """The packed tensors by name: dtype and shape."""
        raise NotImplementedError

    def pack(self, weight: torch.Tensor, dtype: torch.dtype) -> None:
        """Set the packed tensors from a weight `[out, in]`."""
        raise NotImplementedError

    def unpacked(self, start: int, end: int, dtype: torch.dtype) -> torch.Tensor:
        """The weights `[in, end - start]` of these outputs that the packed ones stand for.

        `start` is a multiple of 64.
        """
        raise NotImplementedError

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        flat = x.reshape(-1, self.in_features).to(self.scales.dtype)
        y = self.by_kernel(flat.contiguous()) if flat.shape[0] <= self.rows else self.by_matmul(flat)
        if self.bias is not None:
            y = y + self.bias
        return y.view(*x.shape[:-1], self.out_features).to(x.dtype)

    def fill(self, tensors: dict[str, torch.Tensor]) -> None:
        """Set the packed tensors, as `layout` names them."""
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)

    def tensors(self) -> dict[str, torch.Tensor]:
        """The packed tensors by name, without the bias, which the model's own files hold."""
        return {name: tensor for name, tensor in self.named_buffers() if name != "bias"}

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}"

    def by_kernel(self, x: torch.Tensor) -> torch.Tensor:
        """`x` `[rows, in]` in the scales' dtype; without the bias."""
        raise NotImplementedError

    def by_matmul(self, x: torch.Tensor) -> torch.Tensor:
        """The same by unpacked weights, as many at a time as stay in the processor's cache."""
        wide = x.to(self.whole_dtype)
        y = x.new_empty(x.shape[0], self.out_features)
        step = max(1, _AT_ONCE // self.in_features // 64) * 64
        for start in range(0, self.out_features, step):
            end = min(start + step, self.out_features)
            y[:, start:end] = wide @ self.unpacked(start, end, self.whole_dtype)
        return y


class Int8Linear(PackedLinear):
    """int8 weights with one scale a row, symmetric, on `_weight_int8pack_mm`."""

    weights: torch.Tensor

    @classmethod
    def fits(cls, source: nn.Linear) -> bool:
        # The AVX-512 kernel loads 16 values at a time, and crashes where a row begins between two sixteens.
        return source.in_features % 16 == 0 and source.out_features >= LEAST_OUT

    def layout(self, dtype: torch.dtype) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
        return {
            "weights": (torch.int8, (self.out_features, self.in_features)),
            "scales": (dtype, (self.out_features,)),
        }

    def pack(self, weight: torch.Tensor, dtype: torch.dtype) -> None:
        packed = torch.empty(weight.shape, dtype=torch.int8)
        scales = torch.empty(weight.shape[0], dtype=dtype)
        step = max(1, _AT_ONCE // self.in_features)
        for start in range(0, self.out_features, step):
            part = weight[start : start + step].float()
            scale = (part.abs().amax(1) / 127).clamp_min(_least(dtype)).to(dtype)
            scales[start : start + step] = scale
            packed[start : start + step] = (part / scale.float()[:, None]).round_().clamp_(-127, 127)
        self.fill({"weights": packed, "scales": scales})

    def unpacked(self, start: int, end: int, dtype: torch.dtype) -> torch.Tensor:
        return (self.weights[start:end].to(dtype) * self.scales[start:end, None].to(dtype)).T

    def by_kernel(self, x: torch.Tensor) -> torch.Tensor:
        return _ops()._weight_int8pack_mm(x, self.weights, self.scales)  # type: ignore[no-any-return]


class Int4Linear(PackedLinear):
    """4-bit weights with a scale and a zero for each 32, on `_weight_int4pack_mm_for_cpu`.

    `scales` `[in / 32, out, 2]` holds scale and zero: a weight is `(q - 8) * scale + zero`, q from 0 to 15.
    """

    weights: torch.Tensor

    @classmethod
    def fits(cls, source: nn.Linear) -> bool:
        return source.in_features % GROUP == 0 and source.out_features % 16 == 0

    def layout(self, dtype: torch.dtype) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
        return {
            "weights": (torch.uint8, (self.out_features, self.in_features // 2)),
            "scales": (dtype, (self.in_features // GROUP, self.out_features, 2)),
        }

    def pack(self, weight: torch.Tensor, dtype: torch.dtype) -> None:
        rows, columns = weight.shape
        packed = torch.empty(rows, columns // 2, dtype=torch.uint8)
        scales = torch.empty(columns // GROUP, rows, 2, dtype=dtype)
        # Blocks of 64 rows are packed apart from each other, so whole blocks can be packed in turn.
        step = max(1, _AT_ONCE // columns // 64) * 64
        for start in range(0, rows, step):
            part = weight[start : start + step].float().view(-1, columns // GROUP, GROUP)
            scale, zero = _best_range(part, dtype)
            q = _digits(part, scale, zero).view(-1, columns).int()
            packed[start : start + step] = _ops()._convert_weight_to_int4pack_for_cpu(q, 1)
            scales[:, start : start + step, 0] = scale[..., 0].T
            scales[:, start : start + step, 1] = zero[..., 0].T
        self.fill({"weights": packed, "scales": scales})

    def unpacked(self, start: int, end: int, dtype: torch.dtype) -> torch.Tensor:
        q = unpack_int4(self.weights[start:end], block())
        scale, zero = self.scales[:, None, start:end].to(dtype).unbind(-1)
        grouped = q.to(dtype).view(-1, GROUP, end - start)
        return grouped.mul_(scale).add_(zero - 8 * scale).view(-1, end - start)

    def by_kernel(self, x: torch.Tensor) -> torch.Tensor:
        return _ops()._weight_int4pack_mm_for_cpu(x, self.weights, GROUP, self.scales)  # type: ignore[no-any-return]


KINDS: dict[str, type[PackedLinear]] = {"int8": Int8Linear, "int4": Int4Linear}


def kernel_dtype(dtype: torch.dtype) -> torch.dtype:
    """What the kernels compute in for a model of this dtype: they are fast in 16 bits only."""
    return torch.bfloat16 if dtype == torch.float32 else dtype


def unpack_int4(packed: torch.Tensor, rows: int) -> torch.Tensor:
    """uint8 `[in, out]` of 0 to 15 out of `_convert_weight_to_int4pack_for_cpu`'s `[out, in / 2]`.

    `rows`: outputs in a block. A whole block holds, for each input in turn, `rows / 2` bytes with an output
    of its first half in the low bits and one of its second half in the high ones; in what is left over
    neighbours share a byte.
    """
    out, columns = packed.shape[0], 2 * packed.shape[1]
    whole = out - out % rows if rows > 1 else 0
    result = torch.empty(columns, out, dtype=torch.uint8)
    if whole:
        bytes_ = packed[:whole].reshape(-1, columns, rows // 2).transpose(0, 1)
        halves = result[:, :whole].unflatten(1, (-1, 2, rows // 2))
        torch.bitwise_and(bytes_, 15, out=halves[:, :, 0])
        torch.bitwise_right_shift(bytes_, 4, out=halves[:, :, 1])
    if whole < out:
        bytes_ = packed[whole:].reshape(columns, -1)
        result[:, whole:] = torch.stack((bytes_ & 15, bytes_ >> 4), -1).flatten(1)
    return result


@cache
def block() -> int:
    """Rows of a packed block on this machine, found by packing; 0 when torch packs in a way unknown here."""
    q = torch.arange(80 * GROUP).mul(7).remainder(15).view(80, GROUP).int()
    packed = _ops()._convert_weight_to_int4pack_for_cpu(q, 1)
    for rows in _BLOCKS:
        if torch.equal(unpack_int4(packed, rows).T.int(), q):
            return rows
    return 0


def _best_range(part: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale and zero `[rows, groups, 1]`, rounded to `dtype`, with the least squared error of each group."""
    low, high = part.aminmax(dim=-1, keepdim=True)
    middle, half = (low + high) / 2, (high - low) / 2
    best: Any = None
    for clip in _CLIPS:
        scale = (half * (clip * 2 / 15)).clamp_min_(_least(dtype)).to(dtype).float()
        zero = (middle + scale / 2).to(dtype).float()
        error = _digits(part, scale, zero).sub_(8).mul_(scale).add_(zero).sub_(part).square_()
        error = error.sum(-1, keepdim=True)
        if best is None:
            best = (error, scale, zero)
            continue
        better = error < best[0]
        new = (error, scale, zero)
        best = tuple(torch.where(better, a, b) for a, b in zip(new, best, strict=True))
    return best[1], best[2]


def _digits(part: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor) -> torch.Tensor:
    """Whole numbers from 0 to 15, as floats."""
    return (part - zero).div_(scale).add_(8).round_().clamp_(0, 15)


def _least(dtype: torch.dtype) -> float:
    """A scale that is never 0: rows of zeros have nothing to divide by."""
    return 1e-6 if dtype == torch.float16 else 1e-12


def _ops() -> Any:
    return torch.ops.aten
