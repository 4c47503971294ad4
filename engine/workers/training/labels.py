"""From chats to token ids with labels on what the assistant said, for any chat template.

One example an answer: the prompt is rendered exactly as the chat would render it at that turn, and everything
that the template adds for the answer is labelled up to the stop token. Templates that change earlier turns
(Qwen3 drops their thinking) are therefore trained on what they will see. The answer's place is found by the
difference of two renders and verified, never by the wording of a known template.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os.path import commonprefix
from typing import Any

import msgspec

from engine.backend import Turn
from engine.chat.template import ChatTemplate
from engine.data.rows import Row, Said
from engine.protocol.errors import fault
from engine.protocol.specs import ChatSettings

IGNORED = -100
"""The label of a token that carries no loss (torch.nn.functional.cross_entropy's ignore_index)."""


END_OF_TEXT = "<|endoftext|>"
"""What Qwen's own pretraining puts between documents; its chat models end turns with another token."""


class Example(msgspec.Struct, frozen=True):
    """Token ids and their labels, of one length; a label is the id itself or IGNORED, not shifted."""

    ids: list[int]
    labels: list[int]

    @property
    def labelled(self) -> int:
        return sum(label != IGNORED for label in self.labels)

    @property
    def tokens(self) -> int:
        return len(self.ids)

    @property
    def longest(self) -> int:
        return len(self.ids)


class Tally(msgspec.Struct):
    """What became of the rows."""

    examples: list[Any]
    """Of the objective's kind (engine.workers.training.objective.Example)."""
    too_long: int = 0
    """Left out: longer than the run's length. Never cut, because a cut answer teaches to break off."""
    unmatched: int = 0
    """Left out: the template hides the answer, so there is nothing to put a label on."""


class Labeller:
    """Turns rows into examples for one tokenizer and one template."""

    def __init__(
        self,
        tokenizer: Any,
        template: ChatTemplate | None,
        stop_ids: Iterable[int],
        model: str = "This model",
    ) -> None:
        """`tokenizer`: a fast transformers tokenizer; `stop_ids`: the ids at which generation ends."""
        self._tokenizer = tokenizer
        self._chat_template = template
        self._model = model
        self._stop_ids = frozenset(stop_ids)

    @property
    def chats(self) -> bool:
        """Whether the model can hold a chat."""
        return self._chat_template is not None

    @property
    def _template(self) -> ChatTemplate:
        if self._chat_template is None:
            raise fault(
                "no_template",
                f"{self._model} has no chat template, so chats cannot be rendered for it",
                remedy="Choose a chat model as the base",
            )
        return self._chat_template

    @property
    def tokenizer(self) -> Any:
        """The fast transformers tokenizer that it was made with."""
        return self._tokenizer

    @property
    def stop_ids(self) -> frozenset[int]:
        """The ids at which generation ends."""
        return self._stop_ids

    def asked(self, text: str) -> list[int]:
        """Ids of a prompt of one user's message, without thinking where the template can do without."""
        return self._ids(self._template.render((Turn("user", text),), ChatSettings(), think=False))

    def tally(self, rows: Sequence[Row], length: int) -> Tally:
        """All answers of all rows; raises EngineError `no_labels` when nothing is left to learn from."""
        tally = Tally([])
        for row in rows:
            for place, said in enumerate(row.messages):
                if said.role == "assistant":
                    self._add(tally, row.messages[: place + 1], length)
        if not tally.examples:
            raise _nothing(tally, length)
        return tally

    def _add(self, tally: Tally, messages: Sequence[Said], length: int) -> None:
        example = self.example(messages)
        if example is None:
            tally.unmatched += 1
        elif len(example.ids) > length:
            tally.too_long += 1
        else:
            tally.examples.append(example)

    def example(self, messages: Sequence[Said]) -> Example | None:
        """The last message as the answer to those before it; None where the template hides it."""
        turns = tuple(Turn(_role(said), said.content, said.thinking) for said in messages)
        settings = ChatSettings()
        prompt = self._template.render(turns[:-1], settings, think=True)
        whole = self._template.render(turns, settings, think=True, answered=True)
        text, start = _joined(prompt, whole, messages[-2].content.strip() if messages[1:] else "")
        begins = _before(messages[-1].content.strip(), text, start)
        if begins is None:
            return None
        example = self._labelled(text, begins)
        return example if example.labelled else None

    def text(self, text: str) -> Example:
        """A plain text, all of it labelled, with the end token behind it."""
        ids = [*self._ids(text), end_of_text(self._tokenizer)]
        return Example(ids, list(ids))

    def stops(self, example: Example) -> bool:
        """Whether the token at which generation ends is learnt where the answer ends; always of a text."""
        if example.labels == example.ids:
            return True
        learnt = [label for label in example.labels if label != IGNORED]
        return bool(learnt) and learnt[-1] in self._stop_ids

    def _labelled(self, text: str, start: int) -> Example:
        before = self._ids(text[:start])
        answer = self._ids(text[start:])
        # The template's newline behind the stop token is never generated, so it is not learnt either.
        stops = [place for place, token in enumerate(answer) if token in self._stop_ids]
        answer = answer[: stops[-1] + 1] if stops else [*answer, *sorted(self._stop_ids)[:1]]
        return Example(before + answer, [IGNORED] * len(before) + answer)

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])


def end_of_text(tokenizer: Any) -> int:
    """The id that stands between documents. Raises EngineError `no_end_token`."""
    known = tokenizer.get_vocab().get(END_OF_TEXT)
    end = tokenizer.eos_token_id if known is None else known
    if end is None:
        raise fault("no_end_token", "The tokenizer has no end token to put between two texts")
    return int(end)


def _joined(prompt: str, whole: str, asked: str) -> tuple[str, int]:
    """(the prompt with what follows it, where that begins).

    Where the prompt is no prefix of the whole because it opens a think block, say, they part earlier. Where
    it is none because the template writes the question otherwise once it is answered (Mistral's puts the
    system prompt into the last turn only), the prompt stands as the chat sends it.
    """
    start = len(commonprefix([prompt, whole]))
    here = prompt.rfind(asked) + len(asked)
    if not asked or asked not in prompt or here <= start:
        return whole, start
    there = -len(asked)
    for _ in range(prompt.count(asked)):
        there = whole.find(asked, there + len(asked))
        if there < 0:
            return whole, start
    rest = whole[there + len(asked) :]
    shared = len(commonprefix([prompt[here:], rest]))
    return prompt[: here + shared] + rest[shared:], here + shared


def _before(answer: str, whole: str, start: int) -> int | None:
    """Where the label begins: at `start`, or at the answer where that lies a little before it.

    An answer may begin like what the prompt ends with (`<b>` after an opened `<think>`). None where the
    answer is not there.
    """
    if answer in whole[start:]:
        return start
    place = whole.find(answer, max(0, start - len(answer) + 1))
    return place if 0 <= place < start else None


def _role(said: Said) -> Any:
    return said.role


def _nothing(tally: Tally, length: int) -> Exception:
    if tally.too_long:
        return fault(
            "no_labels",
            f"All {tally.too_long} answers are longer than {length} tokens, so nothing is left to learn",
            remedy="Raise `length`, or shorten the rows",
        )
    return fault(
        "no_labels",
        "The model's chat template leaves every answer out, so there is nothing to learn from",
        remedy="Choose a chat model as the base, or check its chat_template",
    )
