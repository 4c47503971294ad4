"""Muon: momentum made orthogonal, for the weight matrices inside the layers.

On the demo model it needs about half of AdamW's steps. See https://kellerjordan.github.io/posts/muon
"""

from __future__ import annotations

import torch
import torch.distributed as dist


class Muon:
    """Keeps a momentum for each matrix; the processes of a group share the orthogonalising."""

    def __init__(
        self, matrices: list[torch.nn.Parameter], momentum: float = 0.95, decay: float = 0.02
    ) -> None:
        self.matrices = matrices
        self.momentum = momentum
        self.decay = decay
        self.buffers = [torch.zeros_like(matrix) for matrix in matrices]
        self.flat = torch.zeros(sum(matrix.numel() for matrix in matrices))
        pieces = self.flat.split([matrix.numel() for matrix in matrices])
        self.updates = [piece.view_as(matrix) for piece, matrix in zip(pieces, matrices, strict=True)]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One update from the gradients, which are the same in every process."""
        rank, count = dist.get_rank(), dist.get_world_size()
        self.flat.zero_()
        for index in range(rank, len(self.matrices), count):
            self._orthogonalise(index)
        dist.all_reduce(self.flat)
        for matrix, update in zip(self.matrices, self.updates, strict=True):
            stretch = max(1.0, matrix.shape[0] / matrix.shape[1]) ** 0.5
            matrix.mul_(1 - rate * self.decay).sub_(update, alpha=rate * stretch)

    def _orthogonalise(self, index: int) -> None:
        gradient, buffer = self.matrices[index].grad, self.buffers[index]
        assert gradient is not None
        buffer.lerp_(gradient, 1 - self.momentum)
        self.updates[index].copy_(orthogonal(gradient.lerp(buffer, self.momentum)))


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """Newton-Schulz: the (rows, columns) matrix with its singular values brought near one."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.T if tall else x
