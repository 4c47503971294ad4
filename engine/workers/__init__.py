"""The only place for torch and its kin, imported by name in the model thread: offline and quiet from here."""

from __future__ import annotations

import os

# Before torch, transformers or huggingface_hub are imported, because they read these once.
for _name, _value in {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    # Threads that spin while they wait make a busy machine many times slower (docs/performance.md).
    "OMP_WAIT_POLICY": "PASSIVE",
}.items():
    os.environ.setdefault(_name, _value)
