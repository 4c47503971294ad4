"""A base's tensors with an adapter added, one at a time, straight from the files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import torch
from safetensors import safe_open

from engine.models.adapter_fit import place_in
from engine.models.headers import Broken, tensor_table, weight_files
from engine.protocol.errors import fault
from engine.workers.export.peft_files import AdapterFiles, LoraPair, not_exportable

_HEADS = ("lm_head.weight",)


class MergedWeights:
    """Reads each tensor when it is asked for; at most one is held. A context manager."""

    def __init__(
        self, base: Path, name: str, adapter: AdapterFiles, adapter_name: str, *, tied: bool
    ) -> None:
        """`tied`: the input embedding is the head, too. Raises EngineError `model_broken`,
        `adapter_not_exportable` when a matrix has no place in the base's files."""
        try:
            self.files = weight_files(base)
            self.tables = {file: tensor_table(file) for file in self.files}
        except Broken as error:
            raise fault("model_broken", f"{name} cannot be read", str(error)) from error
        self._where = {tensor: file for file, table in self.tables.items() for tensor in table}
        self._adapter = adapter
        self._pairs: dict[str, LoraPair] = {}
        self._biases: dict[str, torch.Tensor] = {}
        self._whole: dict[str, torch.Tensor] = {}
        self._place(adapter_name, tied)
        self._stack = ExitStack()

    @property
    def names(self) -> list[str]:
        """Of all tensors, file by file."""
        return [name for table in self.tables.values() for name in table]

    def __contains__(self, name: object) -> bool:
        return name in self._where

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.tables[self._where[name]][name]["shape"])

    def changed(self, name: str) -> bool:
        """Whether the adapter touches this tensor."""
        return name in self._pairs or name in self._biases or name in self._whole

    def pair(self, name: str) -> LoraPair | None:
        """The matrices that are added to this tensor."""
        return self._pairs.get(name)

    def get(self, name: str) -> torch.Tensor:
        """The tensor with the adapter added: float32 where it touches it, else as it is stored."""
        if name in self._whole:
            return self._whole[name].float()
        tensor: torch.Tensor = self._opened(self._where[name]).get_tensor(name)
        if name in self._pairs:
            return self._pairs[name].merged(tensor, turned=self._adapter.turned)
        if name in self._biases:
            return tensor.float() + self._biases[name]
        return tensor

    def __enter__(self) -> MergedWeights:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def _opened(self, file: Path) -> safe_open:
        # Opened for one tensor: a file that stays mapped counts as memory in use.
        self._stack.close()
        opened: safe_open = self._stack.enter_context(safe_open(file, framework="pt"))
        return opened

    def _place(self, adapter_name: str, tied: bool) -> None:
        for module, pair in self._adapter.pairs.items():
            name = place_in(module, self._where)
            if name is None:
                raise not_exportable(adapter_name, f"The base's files have no weight for {module}")
            if tied and pair.embedding:
                raise not_exportable(adapter_name, "It sits on an embedding that is the output head as well")
            self._pairs[name] = pair
        for module, bias in self._adapter.biases.items():
            name = place_in(module, self._where, ".bias")
            if name is None:
                raise not_exportable(adapter_name, f"It has a bias for {module}, where the base has none")
            self._biases[name] = bias
        for full, tensor in self._adapter.whole.items():
            stem, _, ending = full.rpartition(".")
            name = place_in(stem, self._where, f".{ending}")
            if name is None or (tied and "embed" in full):
                raise not_exportable(
                    adapter_name, f"It replaces {full}, which the base's files do not hold alone"
                )
            self._whole[name] = tensor
