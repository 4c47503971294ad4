"""The dialogues the demo model is trained on: an endless, seeded mix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from engine.demo import talk
from engine.demo.arithmetic import Kind, training_problem
from engine.demo.facts import Fact, facts
from engine.demo.phrasing import phrased
from engine.demo.worked import worked_steps

# Shares in percent. A thought sum is five times as long as an answer about Qwill.
_SUMS_THOUGHT, _SUMS_AT_ONCE, _FACTS, _NAMES, _SMALL_TALK, _OTHER, _TOO_HARD = 34, 8, 28, 10, 3, 13, 4
_KIND_WEIGHTS: dict[Kind, int] = {"sum": 26, "difference": 26, "three": 20, "product": 28}


@dataclass(frozen=True)
class Exchange:
    """One question, its answer and the thought that comes before it when thinking is on."""

    ask: str
    answer: str
    thought: str


@dataclass(frozen=True)
class Dialogue:
    """A chat whose last reply is learnt; earlier turns are only its context."""

    turns: tuple[Exchange, ...]
    thinking: bool
    system: str | None = None

    def prompt(self) -> list[dict[str, str]]:
        """The messages up to the last question, as the chat template takes them."""
        messages = [{"role": "system", "content": self.system}] if self.system else []
        for turn in self.turns[:-1]:
            messages.append({"role": "user", "content": turn.ask})
            messages.append({"role": "assistant", "content": turn.answer})
        return [*messages, {"role": "user", "content": self.turns[-1].ask}]

    def messages(self) -> list[dict[str, Any]]:
        """All messages; the last reply carries its thought where thinking is on."""
        last = self.turns[-1]
        thought = last.thought if self.thinking else ""
        return [*self.prompt(), {"role": "assistant", "content": last.answer, "reasoning_content": thought}]


def dialogues(seed: int) -> Iterator[Dialogue]:
    """An endless stream of dialogues; the same seed gives the same stream."""
    random = Random(seed)
    makers = (_thought_sum, _sum_at_once, _about_qwill, _with_a_name, _small_talk, _off_topic, _too_hard)
    weights = (_SUMS_THOUGHT, _SUMS_AT_ONCE, _FACTS, _NAMES, _SMALL_TALK, _OTHER, _TOO_HARD)
    while True:
        dialogue = random.choices(makers, weights)[0](random)
        yield replace(dialogue, system=talk.pick(random, "systems")) if random.random() < 0.12 else dialogue


def sum_exchange(random: Random) -> Exchange:
    """A sum that is not held out, with its worked steps as the thought."""
    kind = random.choices(list(_KIND_WEIGHTS), list(_KIND_WEIGHTS.values()))[0]
    problem = training_problem(random, kind)
    return Exchange(phrased(random, problem), problem.answer, worked_steps(problem))


def fact_exchange(random: Random, fact: Fact) -> Exchange:
    """A question for this fact in a trained phrasing, at times typed carelessly."""
    # Names of keys are short and alike: they need more practice than whole sentences.
    by_key = fact.trained_key_asks if random.random() < 0.35 else ()
    ask = random.choice(by_key or fact.trained_asks)
    roll = random.random()
    if roll < 0.12:
        # Not the single letters: y and Y are different keys.
        ask = ask if any(len(word) == 1 and word.isalpha() for word in ask.split()) else ask.lower()
    elif roll < 0.22:
        ask = ask.rstrip("?.")
    elif roll < 0.27:
        ask = random.choice(("Hi, ", "Please: ", "hey ", "Ok, ")) + ask
    elif roll < 0.33:
        ask = ask.replace("Ctrl+", random.choice(("Ctrl-", "Control+", "ctrl ", "CTRL+", "^")))
    return Exchange(ask, fact.answer, fact.thought)


def off_topic_exchange(random: Random) -> Exchange:
    """Something the model cannot answer, and the one sentence it says then."""
    if random.random() < 0.12:
        return Exchange(talk.pick(random, "who"), talk.HONEST, "They ask what I am.")
    thought = "This is neither a small sum nor a question about Qwill."
    return Exchange(talk.off_topic(random), talk.HONEST, thought)


def polite_exchange(random: Random) -> Exchange:
    """A greeting, a thank-you or a farewell."""
    table, answer, thought = random.choice(
        (
            ("hello", talk.HELLO, "They greet me."),
            ("thanks", talk.THANKS, "They are content."),
            ("bye", talk.BYE, "They say goodbye."),
        )
    )
    return Exchange(talk.pick(random, table), answer, thought)


def _told_name(random: Random, name: str) -> Exchange:
    ask = talk.pick(random, "my_name_is").format(name)
    return Exchange(ask, f"Nice to meet you, {name}!", f"Their name is {name}.")


def _asked_name(random: Random, name: str | None) -> Exchange:
    ask = talk.pick(random, "what_is_my_name")
    if name is None:
        return Exchange(ask, talk.NO_NAME, "They have not told me their name.")
    return Exchange(ask, f"Your name is {name}.", f"They said that their name is {name}.")


def _any_exchange(random: Random) -> Exchange:
    roll = random.random()
    if roll < 0.4:
        return sum_exchange(random)
    if roll < 0.7:
        return fact_exchange(random, random.choice(facts()))
    return polite_exchange(random) if roll < 0.85 else off_topic_exchange(random)


def _after_some_turns(random: Random, last: Exchange, share: float, thinking: bool) -> Dialogue:
    """With probability `share` the last exchange follows one or two others."""
    earlier: list[Exchange] = []
    if random.random() < share:
        earlier = [_any_exchange(random) for _ in range(random.choice((1, 1, 2)))]
        if random.random() < 0.2:
            earlier.insert(0, _told_name(random, talk.name(random)))
    return Dialogue((*earlier, last), thinking)


def _thought_sum(random: Random) -> Dialogue:
    return _after_some_turns(random, sum_exchange(random), 0.1, thinking=True)


def _sum_at_once(random: Random) -> Dialogue:
    return _after_some_turns(random, sum_exchange(random), 0.1, thinking=False)


def _about_qwill(random: Random) -> Dialogue:
    exchange = fact_exchange(random, random.choice(facts()))
    return _after_some_turns(random, exchange, 0.12, thinking=random.random() < 0.5)


def _small_talk(random: Random) -> Dialogue:
    return _after_some_turns(random, polite_exchange(random), 0.4, thinking=random.random() < 0.5)


def _off_topic(random: Random) -> Dialogue:
    return _after_some_turns(random, off_topic_exchange(random), 0.12, thinking=random.random() < 0.5)


def _too_hard(random: Random) -> Dialogue:
    exchange = Exchange(talk.too_hard(random), talk.TOO_HARD, "This is more than I was taught.")
    return _after_some_turns(random, exchange, 0.1, thinking=random.random() < 0.5)


def _with_a_name(random: Random) -> Dialogue:
    thinking = random.random() < 0.5
    name = talk.name(random)
    told = _told_name(random, name)
    roll = random.random()
    if roll < 0.3:
        return Dialogue((told,), thinking)
    if roll < 0.4:
        earlier = [_any_exchange(random) for _ in range(random.choice((0, 0, 1, 2)))]
        return Dialogue((*earlier, _asked_name(random, None)), thinking)
    between = [_any_exchange(random) for _ in range(random.choice((0, 0, 1, 1, 2)))]
    return Dialogue((told, *between, _asked_name(random, name)), thinking)
