"""Ratings of sides become ratings of arms, by the key."""

from harness.records import ItemKey, RatedSet, Rating
from harness.review.blind import BASE_ON_B
from harness.review.key import KeyRow, KeySet
from harness.review.packet import RowRating


def unblinded(said: RowRating, name: str, entry: KeySet) -> Rating:
    """Return a rating with its preference towards tuned.

    Args:
        said: What the rater said of a row.
        name: Of the set that the row is in.
        entry: The set's part of the key.
    """
    known = entry["rows"][said.row]
    is_tuned_a = known["base_side"] == BASE_ON_B
    towards_a = said.preference
    scores, tags = (said.score_a, said.score_b), (said.tags_a, said.tags_b)
    tuned, base = (0, 1) if is_tuned_a else (1, 0)
    return Rating(
        row=said.row,
        set_name=name,
        suite=entry["suite"],
        candidate=entry["candidate"],
        item=_item_key(known),
        rater=known["rater"],
        stratum=known["stratum"],
        tuned_side="A" if is_tuned_a else "B",
        preference=towards_a if towards_a is None or is_tuned_a else -towards_a,
        choice=said.choice,
        base_score=scores[base],
        tuned_score=scores[tuned],
        base_tags=tags[base],
        tuned_tags=tags[tuned],
        comment=said.comment,
        repeats=known.get("repeats", ""),
        answers=known.get("answers", ""),
    )


def rated_set(name: str, entry: KeySet) -> RatedSet:
    """Return what was drawn of a set."""
    return RatedSet(
        name=name,
        suite=entry["suite"],
        candidate=entry["candidate"],
        strata=entry["strata"],
        identical=entry["identical"],
        unscored=entry["unscored"],
        form=entry.get("form", "preference"),
    )


def _item_key(row: KeyRow) -> ItemKey:
    suite, filter_, doc_hash, occurrence = row["item"]
    return ItemKey(str(suite), str(filter_), str(doc_hash), int(occurrence))
