"""What a run is asked to do, as `run.toml` writes it. Plain data, no behaviour."""

from __future__ import annotations

from typing import Any, Literal, get_args

import msgspec

Method = Literal["lora", "rslora", "dora", "pissa", "olora", "eva", "loftq", "full"]
"""How the weights learn. With a `quant` base, lora is QLoRA, dora QDoRA and pissa QPiSSA."""
METHODS: tuple[Method, ...] = get_args(Method)
Objective = Literal["chat", "text", "dpo", "orpo", "kto", "grpo"]
"""What is learnt: answers of chats, plain text (continued pretraining), preferences, or (grpo, by TRL) what a
reward finds good."""
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
BaseQuant = Literal["", "nf4", "bnb8"]
"""How a run holds its base: whole, or packed by bitsandbytes in 4 or 8 bits."""
Schedule = Literal["cosine", "linear", "constant"]
Checkpointing = Literal["auto", "on", "off"]
Tracker = Literal["tensorboard", "trackio", "wandb", "mlflow"]
ALIASES: dict[str, tuple[Method, BaseQuant]] = {
    "qlora": ("lora", "nf4"),
    "qdora": ("dora", "nf4"),
    "qpissa": ("pissa", "nf4"),
}
"""Names that people use for a method on a packed base."""


class TrainSpec(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One run. 0 and "" mean: chosen from the data and the model."""

    model: str
    """Id of the base."""
    data: str
    """Path of a dataset, `shipped:NAME`, `marked:` (own marked replies), or `hub:OWNER/NAME`."""
    name: str = ""
    method: Method = "lora"
    quant: BaseQuant = ""
    objective: Objective = "chat"
    rank: int = 16
    alpha: int = 0
    """Scale is alpha / rank (rslora: alpha / sqrt(rank)); 0 takes twice the rank."""
    dropout: float = 0.0
    targets: str = "attention+mlp"
    """`attention`, `mlp`, `attention+mlp`, or a pattern (re.fullmatch) over the modules' paths."""
    steps: int = 0
    """Optimiser steps; 0 counts them from `epochs`."""
    epochs: float = 0.0
    """Times through the data; 0 goes by its size, more often the fewer rows there are."""
    batch: int = 4
    """Rows of a micro-batch."""
    accumulate: int = 1
    """Micro-batches of one optimiser step."""
    length: int = 1024
    """Tokens of a row at most; a longer row is left out, never cut in silence."""
    packing: bool = False
    """Several rows in one sequence, each blind to the others; refused for hybrids."""
    rate: float = 0.0
    """Peak learning rate; 0 picks by the method and the model's size."""
    schedule: Schedule = "cosine"
    warmup: float = 0.05
    """Share of the steps over which the rate rises from 0."""
    weight_decay: float = 0.0
    clip: float = 1.0
    """Largest gradient norm; 0 never clips."""
    loraplus: float = 0.0
    """LoRA+: the rate of B over the rate of A (arXiv 2402.12354); 0 is 1."""
    beta: float = 0.1
    """Of dpo, orpo (its lambda) and kto."""
    reward: str = ""
    """Of grpo: `exact`, `length`, or the path of a Python file with a function reward(prompt, answer), which
    runs; empty is exact."""
    eval_fraction: float = 0.05
    """Share of the rows held out for evaluation, where `eval_data` names none."""
    eval_data: str = ""
    """Path of a dataset to evaluate on."""
    eval_every: int = 0
    """Steps between evaluations; 0 takes a tenth of the run."""
    save_every: int = 0
    """Steps between checkpoints; 0 saves with each evaluation."""
    early_stop: int = 0
    """Evaluations without a better loss after which the run ends; 0 never."""
    checkpointing: Checkpointing = "auto"
    """Layers whose activations are computed again in backward: those that do not fit, all, or none."""
    dtype: str = ""
    """float32 or bfloat16 of the base; empty: what this machine does fast."""
    device: str = ""
    """`cpu`, `cuda:1`; empty: the one with most free memory."""
    seed: int = 0
    limit: int = 0
    """Rows that are read of the data at most; 0 is all."""
    columns: dict[str, str] = {}
    """Names in the data by what they mean, e.g. {"prompt": "frage", "answer": "antwort"}; empty: detected."""
    samples: tuple[str, ...] = ()
    """Prompts that are answered at each evaluation."""
    trackers: tuple[Tracker, ...] = ()
    peft: dict[str, Any] = {}
    """Raw keys for PEFT's LoraConfig; they win over everything above."""
    tags: tuple[str, ...] = ()
    group: str = ""
    """Runs that were started together (a race, a sweep) have one; its members differ in few keys, and hold
    out the same rows whatever their seeds are."""
