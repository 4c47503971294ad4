"""What rounding depends on beside the spec: library versions, threads, the CPU's instructions."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping

import torch

PACKAGES = ("torch", "transformers", "peft")


def versions() -> dict[str, str]:
    """Of the libraries that compute a step."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def isa() -> str:
    """What torch picks its CPU kernels by, e.g. AVX512."""
    return str(torch.backends.cpu.get_cpu_capability())


def differences(made_with: Mapping[str, str], threads: int, made_on: str) -> list[str]:
    """How this machine differs from the one that a checkpoint was made on, e.g. "torch 2.12, now 2.13"."""
    here = versions()
    names = sorted(made_with.keys() | here.keys())
    out = [
        f"{name} {made_with.get(name, 'missing')}, now {here.get(name, 'missing')}"
        for name in names
        if made_with.get(name) != here.get(name)
    ]
    if threads != torch.get_num_threads():
        out.append(f"{threads} threads, now {torch.get_num_threads()}")
    if made_on != isa():
        out.append(f"{made_on} instructions, now {isa()}")
    return out
