"""`qwill bench decode|ttft|quality|train`: how fast a model runs here, with the figures it is compared to."""

from __future__ import annotations

import argparse

from engine.api import BenchJob, DecodeBench, QualityBench, TtftBench, bench, bench_model, fault
from engine.api import BenchMachine as Machine
from tui.cli import output, progress_line
from tui.cli.loading import model_name
from tui.paths import whole_path

LONG = 4096
"""Tokens of history that `ttft` takes by itself, or three quarters of what a smaller model has room for."""
HEADER = ("", "tokens/s", "best", "of the limit")
KINDS = """\
qwill bench decode   tokens/s, beside transformers' own generate in the same run, and the share of what the
                     memory's bandwidth allows; with --against llama.cpp --gguf FILE beside llama.cpp, too
qwill bench ttft     time to the first token of a chat's third turn, with its cache and without
qwill bench quality  perplexity of packed weights on a shipped text, and how often both say the same
qwill bench train    LoRA steps beside TRL's: time, memory, and whether the losses are the same

All take -m MODEL, --dtype, --quant and --json; the first two, --context, --tokens and --rounds."""


def run(args: argparse.Namespace) -> int:
    """Measure and print. Without a figure that counts, because the ids differ, the exit code is 1."""
    if not args.kind:
        output.say_json({"kinds": ["decode", "ttft", "quality", "train"]}) if args.json else print(KINDS)
        return 0
    if args.kind == "train":
        from tui.cli.bench_train import run_train

        return run_train(args)
    try:
        result = bench(_job(args), progress_line.show)
    finally:
        progress_line.show("")
    if args.json:
        output.say_json(output.plain(result))
    elif isinstance(result, DecodeBench):
        show_decode(result)
    elif isinstance(result, QualityBench):
        from tui.cli.bench_quality import show_quality

        show_quality(result)
        return 0
    else:
        show_ttft(result)
    return 0 if isinstance(result, QualityBench) or result.same else 1


def _job(args: argparse.Namespace) -> BenchJob:
    gguf = getattr(args, "gguf", "")
    if bool(gguf) != bool(getattr(args, "against", "")):
        raise fault("usage", "--against llama.cpp and --gguf FILE belong together", remedy="Give both")
    lengths = {name: getattr(args, name) for name in ("context", "tokens", "rounds") if name in args}
    model = bench_model(model_name(args.model) if args.model else "")
    if lengths.get("context") == 0:
        lengths["context"] = min(LONG, model.context * 3 // 4 or LONG)
    return BenchJob(
        kind=args.kind,
        model=model,
        dtype=args.dtype,
        quant="" if args.quant == "none" else args.quant,
        **lengths,
        gguf=str(whole_path(gguf)) if gguf else "",
    )


def show_decode(found: DecodeBench) -> None:
    """For people: the machine, both sides in a table, and what they are to each other."""
    _show_machine(found.machine)
    limit = found.bandwidth_gb_s * 1e3 / found.read_mb if found.read_mb else 0.0
    if limit:
        output.say(f"a token reads {found.read_mb:,.0f} MB, so at most {limit:.0f} tokens/s")
    output.say(f"{found.model}, {found.context:,} tokens of context, {found.tokens} new ones\n")
    name, share = f"Qwill, {held(found)}", f"{found.share:.0%}" if found.share else "-"
    cells = [
        (name, f"{found.tokens_per_s:.1f}", f"{found.best_tokens_per_s:.1f}", share),
        (
            f"generate, {found.generate_dtype}",
            f"{found.generate_tokens_per_s:.1f}",
            f"{found.generate_best_tokens_per_s:.1f}",
            "",
        ),
    ]
    if found.llama_cpp_tokens_per_s:
        cells.append(("llama.cpp", f"{found.llama_cpp_tokens_per_s:.1f}", "", ""))
    output.table([HEADER, *cells], right=(1, 2, 3))
    print()
    _say_ratio(found)
    if found.llama_cpp:
        output.say(f"llama.cpp: {found.llama_cpp}.")


def _say_ratio(found: DecodeBench) -> None:
    agreement = f"as timed, Qwill finds {found.agreement:.0%} of generate's tokens likeliest, too"
    if found.ratio is None:
        output.say(f"No ratio, because both computed different ids in {found.checked}; {agreement}.")
        return
    output.say(f"{found.ratio:.2f} times generate: medians of {found.rounds} rounds in turn.")
    output.say(f"Both computed the same ids in {found.checked}; {agreement}.")


def show_ttft(found: TtftBench) -> None:
    """For people: the machine, both times, and how they relate."""
    _show_machine(found.machine)
    output.say(f"{found.model}, {held(found)}, a third turn of {found.context:,} tokens\n")
    known = f"{found.cached:,} of them known, the last answer {found.answer} tokens"
    rows = [
        ("", "first token", ""),
        ("fresh", f"{found.cold_ms:,.0f} ms", "all of them computed"),
        ("going on", f"{found.warm_ms:,.0f} ms", f"{known}; template and tokeniser {found.prompt_ms:.0f} ms"),
    ]
    output.table(rows, right=(1,))
    print()
    if found.ratio is None:
        output.say("No ratio, because the two replies have different ids.")
    else:
        words = f"{1 / found.ratio:.1f} times sooner, and the same reply: medians of {found.rounds} rounds."
        output.say(words)


def _show_machine(machine: Machine) -> None:
    output.say(f"{machine.cpu}, threads: {machine.threads}, {' '.join(machine.flags) or 'no vectors'}")
    output.say(f"Python {machine.python}, torch {machine.torch}, transformers {machine.transformers}")
    output.say(f"memory read at {machine.bandwidth_gb_s:.1f} GB/s ({machine.kernel} kernel)")


def held(found: DecodeBench | TtftBench) -> str:
    """How the weights are held: the packing, else the dtype."""
    return found.quant or found.dtype
