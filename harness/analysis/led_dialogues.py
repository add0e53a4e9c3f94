"""Dialogues for people: what the user said and what an arm answered, turn by turn."""

from harness.analysis.transitions import answer_text
from harness.records import Item, Sample
from harness.scoring.dialogues.scripted_dialogue import (
    NotADialogueError,
    ScriptedDialogue,
    read_dialogue,
)


def script_of(item: Item) -> ScriptedDialogue | None:
    """Return what an item declares of a dialogue; None where it is another kind of item."""
    if not any(isinstance(item.doc.get(name), list | tuple) for name in ("turns", "prompt")):
        return None
    try:
        return read_dialogue(item.doc)
    except NotADialogueError:
        return None


def led(sample: Sample) -> list[tuple[str, str]]:
    """Return a dialogue as an arm led it, role and text; empty for other items."""
    script = script_of(sample.item)
    said = [response.text for response in sample.responses if response.text is not None]
    if script is None or len(said) != len(script.turns):
        return []
    return [(one.role, one.content) for one in script.messages(said)]


def shown_text(sample: Sample) -> str:
    """Return what an arm answered, for people: of a dialogue the whole, with its speakers."""
    turns = led(sample)
    if not turns:
        return answer_text(sample)
    return "\n".join(f"{role.capitalize()}: {text}" for role, text in turns if role != "system")


def script_text(item: Item) -> str | None:
    """Return what the arms of a dialogue were told in common; None for other items."""
    script = script_of(item)
    if script is None:
        return None
    told = [f"System: {script.system}"] if script.system else []
    return "\n".join([*told, *(f"User: {turn.user}" for turn in script.turns)])


def asked_and_said(samples: tuple[Sample, Sample]) -> tuple[str, str, str] | None:
    """Return the turn of a dialogue that the second arm lost first, and what each arm said to it.

    None for other items, and where nothing of it was lost.
    """
    base, tuned = (led(sample) for sample in samples)
    lost = samples[1].verdict.details.get("lost_turn")
    if not base or not tuned or not isinstance(lost, int):
        return None
    place = [n for n, (role, _) in enumerate(tuned) if role == "user"][lost - 1]
    return tuned[place][1], base[place + 1][1], tuned[place + 1][1]
