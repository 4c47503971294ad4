"""`qwill chat --jsonl`: a file of prompts as batches; what is answered already is skipped."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from engine.api import Client, EngineError, commands, fault, specs
from tui.cli import output, progress_line
from tui.cli.attached import attached
from tui.cli.batch_input import LINE_LIMIT, Line, read_lines
from tui.cli.batch_output import Output
from tui.cli.chat_start import begin
from tui.cli.loading import load
from tui.cli.options import held
from tui.format import seconds

NAMED = 20
"""Bad lines that are named one by one."""
STATS = ("prompt_tokens", "tokens", "thinking_tokens", "ttft_ms", "tokens_per_s")


def run(args: argparse.Namespace) -> int:
    """Answer what is not answered yet; returns 1 when a line was bad, failed, or was not reached."""
    _refuse(args)
    work = _Work(args)
    try:
        return asyncio.run(work.run())
    except KeyboardInterrupt:
        return 1


class _Work:
    """One run over a file."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        path = None if args.output in (None, "-") else Path(args.output).expanduser()
        if path is not None and args.jsonl != "-" and _same(path, Path(args.jsonl).expanduser()):
            raise fault(
                "usage", "The answers would go into the file of prompts", remedy="Name another with -o"
            )
        self._total = _count(args.jsonl)
        self._file = _open(args.jsonl)
        self._output = Output(path)
        self._aside = path is None
        self._tally = _Tally(self._total)

    async def run(self) -> int:
        """Batch after batch, until the end of the file or Ctrl+C."""
        task = asyncio.current_task()
        assert task is not None
        try:
            async with attached(self._args) as client:
                chat = await begin(client, self._args, save=False)
                model = await load(
                    client, chat.model, dtype=self._args.dtype, quant=held(self._args), evict=self._args.evict
                )
                for lines in self._batches(chat.settings):
                    await self._answer(client, model, chat.settings, lines)
        except asyncio.CancelledError:
            self._tally.stopped = True
        finally:
            self._output.finish()
            self._tally.close()
        self._say()
        return 1 if self._tally.bad or self._tally.failed or self._tally.stopped else 0

    def _batches(self, settings: specs.ChatSettings) -> Iterator[list[Line]]:
        """Lines to be asked, as many at once as are wanted and travel together; bad ones are told."""
        lines: list[Line] = []
        for line in read_lines(self._file, settings):
            if self._known(line):
                continue
            self._output.expect(line.number)
            if line.wrong:
                self._wrong(line)
                continue
            if len(lines) >= self._args.batch or sum(each.size for each in lines) + line.size > LINE_LIMIT:
                yield lines
                lines = []
            lines.append(line)
        if lines:
            yield lines

    def _known(self, line: Line) -> bool:
        """Whether a line was answered by an earlier run. Raises EngineError where that was another file."""
        mark = self._output.done.get(line.number)
        if mark is not None and mark != line.mark:
            raise fault(
                "batch_other",
                f"The answers in {self._args.output} belong to other prompts: line {line.number} differs",
                remedy="Name another file with -o",
            )
        self._tally.skipped += mark is not None
        return mark is not None

    def _wrong(self, line: Line) -> None:
        self._tally.bad += 1
        if self._tally.bad <= NAMED:
            self._tally.tell(f"line {line.number} is left out: {line.wrong}.")
        error = {"code": "bad_line", "title": f"Line {line.number} is left out: {line.wrong}"}
        self._output.put(line.number, _head(line) | {"error": error})

    async def _answer(
        self, client: Client, model: specs.ModelInfo, settings: specs.ChatSettings, lines: list[Line]
    ) -> None:
        rows = tuple(line.row for line in lines if line.row is not None)
        command = commands.StartBatch(model.id, rows, settings.adapters, self._args.evict)
        batch: commands.BatchInfo = await client.request(command)
        if not batch.together and not self._tally.told:
            self._tally.told = True
            self._tally.tell(f"{batch.why}.")
        have = 0
        try:
            while have < len(rows):
                taken: commands.RowAnswers = await client.request(commands.TakeRows(batch.id, have))
                self._put(taken, lines, model)
                have += len(taken.answers)
        except asyncio.CancelledError:
            with contextlib.suppress(EngineError):
                self._put(await client.request(commands.StopBatch(batch.id, have)), lines, model)
            raise

    def _put(self, taken: commands.RowAnswers, lines: list[Line], model: specs.ModelInfo) -> None:
        for answer in taken.answers:
            line = lines[answer.place]
            self._output.put(line.number, _head(line) | _row(answer, model, self._args))
            if answer.error is not None:
                self._tally.failed += 1
                self._tally.tell(f"line {line.number}: {output.line(answer.error.sentence())}")
            else:
                self._tally.took(answer.stats.tokens)

    def _say(self) -> None:
        """The tally in the end: for programs on stdout, unless the answers went there."""
        if self._args.json and not self._aside:
            output.say_json(self._tally.facts())
        else:
            print(f"qwill: {self._tally.sentence()}", file=sys.stderr)


class _Tally:
    """How far it is, on one line of a terminal."""

    def __init__(self, total: int) -> None:
        self.answered = self.bad = self.failed = self.skipped = self.tokens = 0
        self.stopped = self.told = False
        self._total = total
        self._began = time.monotonic()

    def took(self, tokens: int) -> None:
        """One more answer."""
        self.answered += 1
        self.tokens += tokens
        progress_line.show(self._progress())

    def tell(self, words: str) -> None:
        """Something about a line, above the progress."""
        self.close()
        print(f"qwill: {output.line(words)}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Take the progress away."""
        progress_line.show("")

    def facts(self) -> dict[str, Any]:
        """For programs."""
        names = ("answered", "skipped", "bad", "failed", "tokens", "stopped")
        return {name: vars(self)[name] for name in names} | {"tokens_per_s": round(self._speed(), 1)}

    def sentence(self) -> str:
        """For people."""
        parts = [f"{self.answered} answered"]
        parts += [f"{count} {word}" for count, word in self._rest() if count]
        told = f"{', '.join(parts)}; {self._speed():.1f} tokens/s over all."
        return f"Stopped. {told}" if self.stopped else f"{told}"

    def _rest(self) -> tuple[tuple[int, str], ...]:
        return ((self.skipped, "answered before"), (self.bad, "left out"), (self.failed, "failed"))

    def _progress(self) -> str:
        done = self.answered + self.bad + self.failed + self.skipped
        words = [f"{done} of {self._total} lines" if self._total else f"{done} lines"]
        words.append(f"{self._speed():.0f} tokens/s")
        new = self.answered + self.failed
        if self._total and new:
            left = (time.monotonic() - self._began) / new * max(0, self._total - done)
            words.append(f"about {seconds(left)} left")
        return " · ".join(words)

    def _speed(self) -> float:
        return self.tokens / max(1e-3, time.monotonic() - self._began)


def _head(line: Line) -> dict[str, Any]:
    return {"line": line.number, "id": line.id, "hash": line.mark}


def _row(answer: commands.RowAnswer, model: specs.ModelInfo, args: argparse.Namespace) -> dict[str, Any]:
    """What stands in the output for one answer; texts exactly as decoded."""
    if answer.error is not None:
        return {"error": output.plain(answer.error)}
    return {
        "text": answer.text,
        "thinking": answer.thinking,
        "finish_reason": answer.finish,
        "model": model.id,
        "adapters": list(args.adapter),
        "seed": answer.seed,
        "stats": {name: getattr(answer.stats, name) for name in STATS},
    }


def _refuse(args: argparse.Namespace) -> None:
    """Options of one chat mean nothing here. Raises EngineError `usage`."""
    named = {"-p": args.prompt, "-f": args.files, "-i": args.images, "-x": args.extract, "--save": args.save}
    named |= {"-c": args.go_on, "--chat": args.chat}
    for option, value in named.items():
        if value:
            raise fault("usage", f"{option} does not go with --jsonl", remedy="Put it into the file's lines")


def _open(name: str) -> IO[bytes]:
    if name == "-":
        return sys.stdin.buffer
    try:
        return open(Path(name).expanduser(), "rb")
    except OSError as error:
        raise fault("usage", f"{name} cannot be read", error.strerror or str(error)) from error


def _count(name: str) -> int:
    """Lines of a file, for the progress; 0 where it cannot be told before."""
    if name == "-" or not sys.stderr.isatty() or not os.path.isfile(name):
        return 0
    with open(name, "rb") as file:
        return sum(1 for line in file if line.strip())


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
