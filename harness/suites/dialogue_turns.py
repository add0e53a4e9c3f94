"""Dialogues as requests: each turn follows the answers that the arm itself has given before.

A suite lists the requests of all turns. Those of later turns are open: `askable` completes a
request once the answers before it are known, so that turns are asked round by round, all first
ones, then all second ones. The declared turns are encoded apart from the answers between them:
their token ids are the same for every arm.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from harness.errors import DataError, StudyError
from harness.models.protocols import ChatMessages, ChatTemplate
from harness.records import Answers, DialogueTurn, ItemKey, Request, Response, Suite
from harness.scoring.dialogues.scripted_dialogue import (
    NotADialogueError,
    ScriptedDialogue,
    read_dialogue,
)
from harness.suites.tokenize import Encoder, render
from harness.thoughts import opened_by, split_thought

DIALOGUES = "conversation"
"""The judge of suites whose rows are dialogues."""

TURN_OF_THE_USER = "\nUser:"
"""What ends an answer where no chat template does: the model goes on as the user."""

_GAP = "\N{LEFT WHITE SQUARE BRACKET}own answer\N{RIGHT WHITE SQUARE BRACKET}"


def dialogue_requests(
    doc: Mapping[str, object],
    key: ItemKey,
    encoder: Encoder,
    *,
    template: ChatTemplate | None,
    settings: Mapping[str, object],
) -> list[Request]:
    """Return the requests of a dialogue, one a turn; all but the first are open.

    Args:
        doc: The row.
        key: The item that it is.
        encoder: Encodes what is declared.
        template: The chat template that lays it out, None for a plain transcript.
        settings: Of every turn's generation.

    Raises:
        StudyError: If the template does not show what the user and the model said before.
    """
    dialogue = read_dialogue(doc)
    if template is None:
        settings = {**settings, "until": [TURN_OF_THE_USER]}
    layouts = [laid_out(dialogue, turn, template) for turn in range(len(dialogue.turns))]
    ids = [_piece_ids(pieces, encoder) for pieces in layouts]
    answer_tokens, thought = int(str(settings["max_new_tokens"])), settings.get("thinking_tokens")
    room = sum(map(len, ids[-1])) + len(layouts) * answer_tokens + int(str(thought or 0))

    def encode(piece: str, answer: str) -> tuple[int, ...]:
        return tuple(encoder.tokenizer.encode(_lead(piece) + answer, add_special_tokens=False))

    return [
        Request(
            kind="generate_until",
            item=key,
            index=index,
            context="".join(pieces),
            continuation="",
            context_ids=tuple(token for piece in piece_ids for token in piece),
            settings=settings,
            turn=DialogueTurn(
                pieces=pieces, piece_ids=piece_ids, room=room, turns=len(ids), encode=encode
            ),
        )
        for index, (pieces, piece_ids) in enumerate(zip(layouts, ids, strict=True))
    ]


def check_dialogues(suite: Suite, docs: Sequence[Mapping[str, object]], *, truncated: bool) -> None:
    """Refuse rows of a suite of dialogues that are none, and what dialogues cannot be.

    Raises:
        DataError: If a row is no dialogue.
        StudyError: If they are to be truncated.
    """
    if suite.judge != DIALOGUES:
        return
    for number, doc in enumerate(docs, start=1):
        try:
            read_dialogue(doc)
        except NotADialogueError as error:
            raise DataError(f"suite {suite.name!r}, row {number}: {error}") from error
    if truncated:
        raise StudyError(
            f"a dialogue is shown whole: suite {suite.name!r} declares truncation 'left'; leave it "
            "out (one that cannot fit the context is unscored, for every arm)"
        )


def opening(doc: Mapping[str, object], template: ChatTemplate | None) -> str:
    """Return the prompt of a dialogue's first turn."""
    return laid_out(read_dialogue(doc), 0, template)[0]


def sent_messages(doc: Mapping[str, object], turn: int) -> list[dict[str, str | None]]:
    """Return what a chat endpoint is sent at a turn, from 0; null where own answers belong."""
    messages = read_dialogue(doc).messages([""] * turn)
    return [
        {"role": one.role, "content": None if one.role == "assistant" else one.content}
        for one in messages
    ]


def laid_out(
    dialogue: ScriptedDialogue, turn: int, template: ChatTemplate | None
) -> tuple[str, ...]:
    """Return the texts before, between and after the own answers that a turn, from 0, follows.

    Where a template has no place for a system prompt, it stands before the user's first turn.

    Raises:
        StudyError: If the template leaves a turn out.
    """
    turns = [{"role": one.role, "content": one.content} for one in dialogue.messages([_GAP] * turn)]
    text = _transcript(turns) if template is None else _rendered(template, turns, dialogue.system)
    pieces = tuple(text.split(_GAP))
    if len(pieces) != turn + 1:
        raise StudyError(
            f"a dialogue needs a chat template that shows every earlier answer once: turn "
            f"{turn + 1} shows {len(pieces) - 1} of {turn}; set 'template: none' on the suite"
        )
    return pieces


def _transcript(turns: ChatMessages) -> str:
    r"""Return a conversation as plain text.

    >>> _transcript([{"role": "user", "content": "Hi"}])
    'User: Hi\nAssistant:'
    """
    said = [f"{turn['role'].capitalize()}: {turn['content']}" for turn in turns]
    return "\n".join([*said, "Assistant:"])


def _rendered(template: ChatTemplate, turns: ChatMessages, system: str) -> str:
    text = render(template, turns, generate=True)
    if system and system not in text and turns[0]["role"] == "system":
        first = {"role": "user", "content": f"{system}\n\n{turns[1]['content']}"}
        text = render(template, [first, *turns[2:]], generate=True)
    return text


def _lead(piece: str) -> str:
    """Return the spaces at the end of a piece: they are tokens of the answer that follows.

    >>> _lead("Assistant:"), _lead("[/INST] ")
    (' ', ' ')
    """
    return " " if piece.endswith(("Assistant:", " ")) else ""


def _piece_ids(pieces: Sequence[str], encoder: Encoder) -> tuple[tuple[int, ...], ...]:
    *before, last = pieces
    texts = [*(piece.rstrip(" ") for piece in before), last]
    encode = encoder.tokenizer.encode
    return tuple(
        tuple(encoder.encode(text) if not n else encode(text, add_special_tokens=False))
        for n, text in enumerate(texts)
    )


def completed(request: Request, said: Sequence[str]) -> Request:
    """Return an open request with the answers that it follows in their places."""
    turn = request.turn
    assert turn is not None
    ids = list(turn.piece_ids[0])
    text = turn.pieces[0]
    for n, answer in enumerate(said):
        ids += turn.encode(turn.pieces[n], answer)
        ids += turn.piece_ids[n + 1]
        text = text.rstrip(" ") + _lead(turn.pieces[n]) + answer + turn.pieces[n + 1]
    return replace(
        request, context=text, context_ids=tuple(ids), turn=replace(turn, said=tuple(said))
    )


def heard(response: Response, prompt: str = "") -> str:
    """Return an own answer as later turns hear it: without its thought, and stripped.

    Args:
        response: Of an earlier turn.
        prompt: How the model is asked for an answer, which may open the thought.
    """
    return split_thought(response.text or "", opened=opened_by(prompt)).answer.strip()


def askable(requests: Iterable[Request], known: Answers) -> list[Request]:
    """Return the requests without an answer that can be asked now, completed.

    A turn that follows an answer which could not be had has none either: ``known`` says so.
    """
    found = []
    for request in requests:
        if request.key in known:
            continue
        if request.turn is None or not request.turn.is_open:
            found.append(request)
            continue
        before = [known.get((request.item, n)) for n in range(request.index)]
        lost = next((one.missing for one in before if one is not None and one.missing), None)
        if lost:
            known[request.key] = Response(unscored=f"{lost} (of an earlier turn)")
        elif None not in before:
            asked = request.turn.pieces[-1]
            said = [heard(one, asked) for one in before if one is not None]
            found.append(completed(request, said))
    return found


def followed(
    requests: Sequence[Request], known: Answers, look_up: Callable[[Sequence[Request]], Answers]
) -> list[Request]:
    """Add to ``known`` what is stored, turn by turn, and return what has to be asked next.

    Args:
        requests: Of whole items.
        known: Answers by request; what is looked up is added.
        look_up: Returns those that are stored.
    """
    while new := askable(requests, known):
        found = look_up(new)
        known |= found
        if not any(request.turn is not None and request.key in found for request in new):
            return [request for request in new if request.key not in known]
    return []


def in_turns(requests: Sequence[Request], ask: Callable[[Sequence[Request]], Answers]) -> Answers:
    """Ask requests, those of dialogues turn by turn; ``ask`` has to answer all that it is given."""
    known: Answers = {}
    while new := askable(requests, known):
        known |= ask(new)
    return known
