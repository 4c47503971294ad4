"""Runs llama.cpp in a process of its own, which a bad file may end: one JSON request on stdin, one answer.

The answer's `rows` are, prompt by prompt and position by position, `[id, log-probability]` pairs; its
`counts` say how many tokens each of the request's `texts` has.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from typing import Any

TOP = 64
"""Tokens of each position that are told."""


def main() -> None:
    """Answer the request; llama.cpp's own words go to stderr."""
    answer_to = os.dup(1)
    os.dup2(2, 1)
    request = json.loads(sys.stdin.read())
    answer = _answer(request)
    with os.fdopen(answer_to, "w") as stream:
        stream.write(json.dumps(answer))
    sys.stderr.flush()
    os._exit(0)  # the library's threads need not be waited for


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = request["model"]
    params.n_ctx = request["context"]
    params.n_parallel = 1
    params.n_gpu_layers = 0
    params.warmup = False
    # Its server listens on loopback, though nothing is asked through it: nobody else shall.
    params.api_keys = [secrets.token_hex(32)]
    params.ui = False
    params.cpuparams.n_threads = request["threads"]
    if request["lora"]:
        adapter = xllamacpp.CommonAdapterLoraInfo()
        adapter.path, adapter.scale = request["lora"], 1.0
        params.lora_adapters = [adapter]
    server = xllamacpp.Server(params)
    rows = [
        [
            _next(server, ids[: start + place], request["letter"])
            for place in range(min(request["places"], len(ids) - start))
        ]
        for ids, start in zip(request["ids"], request["starts"], strict=True)
    ]
    return {"rows": rows, "counts": [_count(server, text) for text in request["texts"]]}


def _count(server: Any, text: str) -> int:
    """Tokens of a text, a start token that the file puts in front included."""
    answer = server.handle_completions({"prompt": text, "n_predict": 1, "stream": False})
    if "usage" not in answer:
        raise RuntimeError(json.dumps(answer)[:500])
    return int(answer["usage"]["prompt_tokens"])


def _next(server: Any, ids: list[int], letter: int) -> list[list[float]]:
    """The likeliest tokens after these."""
    # An end token or half a character would come without its odds. What is told are the odds before the
    # sampler, which is made to take a plain letter.
    asked = {"n_predict": 1, "n_probs": TOP, "temperature": 0.0, "cache_prompt": True, "ignore_eos": True}
    answer = server.handle_completions(
        {"prompt": ids, "stream": False, "logit_bias": [[letter, 1e4]], **asked}
    )
    if "choices" not in answer:
        raise RuntimeError(json.dumps(answer)[:500])
    first = answer["choices"][0]["logprobs"]["content"][0]
    return [[each["id"], each["logprob"]] for each in first["top_logprobs"]]


if __name__ == "__main__":
    main()
