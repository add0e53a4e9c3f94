"""Recall conversations: the user states facts and asks for one of them in the last turn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from random import Random

from harness.quickstart.pools import SPLITS, any_value, content, draw

ChatMessage = dict[str, str]
END = "<|end|>"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallConversation:
    """Turns up to the last user turn, the stated value of each slot, and the slot asked for."""

    messages: tuple[ChatMessage, ...]
    slot: str
    said: dict[str, str]

    @property
    def value(self) -> str:
        """The value that a right answer contains."""
        return self.said[self.slot]

    @property
    def reply(self) -> str:
        """A full right answer."""
        return slots()[self.slot].answer.format(v=self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One fact that a user may state of themselves.

    Attributes:
        pool: Value source, a pool or a range of numbers.
        own: Value source of several tokens, empty if there is none.
        say: Statement templates.
        answer: Template of a full right answer.
        questions: Question templates by split.
    """

    pool: str
    own: str
    say: list[str]
    answer: str
    questions: dict[str, list[str]]


@cache
def slots() -> dict[str, Slot]:
    """Return the slots of ``content/dialogue.toml``."""
    return {
        name: Slot(
            pool=table["pool"],
            own=table["own"],
            say=table["say"],
            answer=table["answer"],
            questions={split: table[split] for split in SPLITS},
        )
        for name, table in content("dialogue")["slots"].items()
    }


def _user(text: str) -> ChatMessage:
    return {"role": "user", "content": text}


def _assistant(text: str) -> ChatMessage:
    return {"role": "assistant", "content": text}


def _smalltalk_pair(rng: Random) -> tuple[str, str]:
    line, reply = rng.choice(content("dialogue")["smalltalk"]["lines"]).split(" | ")
    return line, reply


def draw_value(rng: Random, slot: str, *, split: str, own: bool = False) -> str:
    """Draw the value of a slot; ``own`` asks for one of several tokens."""
    source = slots()[slot].own if own else slots()[slot].pool
    return draw(rng, source, split=split)


def conversation(
    rng: Random, *, values: dict[str, str], questions: list[str], slot: str
) -> RecallConversation:
    """Build a conversation that states ``values`` in order, with small talk in between.

    Args:
        rng: Source of every choice.
        values: ``{slot: value}`` in the order in which they are stated.
        questions: Phrasings of the last turn, one of which is drawn.
        slot: The slot that is asked for.
    """
    blocks: list[tuple[str, str]] = []
    for name, value in values.items():
        say = rng.choice(slots()[name].say).format(v=value)
        blocks.append((say, rng.choice(content("dialogue")["acknowledge"])))
    for _ in range(rng.randint(0, 2)):
        blocks.insert(rng.randint(0, len(blocks)), _smalltalk_pair(rng))
    messages = [m for say, reply in blocks for m in (_user(say), _assistant(reply))]
    return RecallConversation(
        messages=(*messages, _user(rng.choice(questions))), slot=slot, said=dict(values)
    )


def draw_slots_said(rng: Random) -> list[str]:
    """Draw two or three slots that a conversation is about."""
    return rng.sample(sorted(slots()), rng.randint(2, 3))


def training_conversation(rng: Random) -> RecallConversation:
    """Return a conversation of training values and phrasings.

    In half of them a value is any training value at all ("I live in pancakes"), so that tuning
    teaches to copy from the context rather than which words a slot may have.
    """
    names = draw_slots_said(rng)
    mixed = rng.random() < 0.5
    values = {n: any_value(rng) if mixed else _typical(rng, n) for n in names}
    slot = rng.choice(names)
    return conversation(rng, values=values, questions=slots()[slot].questions["train"], slot=slot)


def _typical(rng: Random, slot: str) -> str:
    return draw(rng, slots()[slot].pool)


def coherence_items(*, split: str, seed: int, counts: dict[str, int]) -> list[dict[str, object]]:
    """Return ``coherence`` rows of ``split``.

    Args:
        split: ``validation`` or ``test``; decides values and new phrasings.
        seed: Seed of the draw.
        counts: Items per slice: ``unseen_value`` (a phrasing that was trained),
            ``new_phrasing``, ``multi_token_value`` (own names and four-digit numbers).
    """
    rng = Random(f"{seed}/coherence/{split}")
    rows: list[dict[str, object]] = []
    for part, count in counts.items():
        own = part == "multi_token_value"
        able = sorted(s for s in slots() if slots()[s].own or not own)
        for number in range(count):
            slot = able[number % len(able)]
            names = [slot, *rng.sample(sorted(set(slots()) - {slot}), rng.randint(1, 2))]
            rng.shuffle(names)
            values = {n: draw_value(rng, n, split=split, own=own and n == slot) for n in names}
            while len(set(values.values())) < len(values):
                values = {n: draw_value(rng, n, split=split, own=own and n == slot) for n in names}
            phrasings = slots()[slot].questions[split if part == "new_phrasing" else "train"]
            talk = conversation(rng, values=values, questions=phrasings, slot=slot)
            identity = f"{part}-{split}-{number}"
            rows.append(
                {
                    "id": identity,
                    "messages": list(talk.messages),
                    "answers": [talk.value],
                    "slot": slot,
                    "conversation": identity,
                    "slice": part,
                    "distractors": [v for n, v in values.items() if n != slot],
                }
            )
    return rows


def smalltalk(rng: Random) -> str:
    """Pretraining: small talk in chat form; the assistant only acknowledges statements.

    Half of them end with a personal question that is not answered.
    """
    turns: list[tuple[str, str]] = []
    for _ in range(rng.randint(1, 4)):
        if rng.random() < 0.5:
            turns.append(_smalltalk_pair(rng))
        else:
            name = rng.choice(sorted(slots()))
            say = rng.choice(slots()[name].say).format(v=any_value(rng))
            turns.append((say, rng.choice(content("dialogue")["acknowledge"])))
    lines = content("dialogue")["smalltalk"]
    if rng.random() < 0.5:
        turns.append((rng.choice(lines["unsure"]), rng.choice(lines["unsure_replies"])))
    system = f"<|system|>{rng.choice(lines['system'])}{END}" if rng.random() < 0.2 else ""
    return system + "".join(f"<|user|>{a}{END}<|assistant|>{b}{END}" for a, b in turns)


def terse_lookup(rng: Random) -> str:
    """Pretraining: several turns in chat form, then a key and a thing, answered by the value."""
    words = content("corpus")
    said = [
        (rng.choice(words["things"]), rng.choice(words["keys"]), any_value(rng))
        for _ in range(rng.randint(2, 3))
    ]
    turns = [
        (f"The {k} of the {t} is {v}.", rng.choice(content("dialogue")["acknowledge"]))
        for t, k, v in said
    ]
    thing, key, value = rng.choice(said)
    turns.append((f"{thing}, {key}?", value))
    return "".join(f"<|user|>{a}{END}<|assistant|>{b}{END}" for a, b in turns)
