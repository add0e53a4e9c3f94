"""The requests of items that were scored, made again of the texts in a run's samples."""

from collections.abc import Mapping

from harness.records import Item, Request
from harness.suites.tokenize import Encoder, generation_settings, ids_hash


def asked_again(item: Item, encoder: Encoder) -> tuple[Request, ...]:
    """Return what a model was asked for an item, as token ids.

    Args:
        item: As a run's samples have it.
        encoder: Of the tokenizer that made the prompts, or of one that ought to make the same.

    Returns:
        The requests; none where the ids are not those that were scored: another tokenizer, a
        prompt that was cut, an answer that is drawn at random, or several turns.
    """
    requests = []
    for index, arguments in enumerate(item.arguments):
        request = _request(item, index, arguments, encoder)
        if request is None or request.settings.get("do_sample"):
            return ()
        requests.append(request)
    ids = ids_hash([[*r.context_ids, -1, *r.continuation_ids] for r in requests])
    return tuple(requests) if ids == item.prompt_hash else ()


def _request(
    item: Item, index: int, arguments: tuple[object, ...], encoder: Encoder
) -> Request | None:
    match arguments:
        case (str(context), str(continuation)):
            context_ids, continuation_ids = encoder.pair(context, continuation)
            return Request(
                kind="loglikelihood", item=item.key, index=index, context=context,
                continuation=continuation, context_ids=context_ids,
                continuation_ids=continuation_ids,
            )  # fmt: skip
        case (str(context), Mapping() as settings):
            return Request(
                kind="generate_until", item=item.key, index=index, context=context,
                continuation="", context_ids=tuple(encoder.encode(context)),
                settings=generation_settings(settings),
            )  # fmt: skip
        case (str(text),):
            return Request(
                kind="loglikelihood_rolling", item=item.key, index=index, context=text,
                continuation="", context_ids=tuple(encoder.encode(text)),
            )  # fmt: skip
        case _:
            return None
