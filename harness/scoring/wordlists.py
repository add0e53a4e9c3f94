"""The word lists of the rules, in one place: lower case, without apostrophes."""


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


COMMON = _set(
    """
    a about after again all also am an and any are as at be because been before being but by can
    cant could did didnt do does doesnt doing done dont for from get go going got had has have he
    her here hers him his how i id if ill im in into is isnt it its ive just know let lets like m
    me more most much my no not now of off oh ok okay on one only or other our out over really s
    she should so some such t than that thats the their them then there theres these they thing
    things think this those to too up us ve very want was wasnt we well were what whats when where
    which while who why will with wont would yeah yes you your youre yours
    """
)
"""Words that two texts share by chance: no sign that one has to do with the other."""

LEAD_IN = _set(
    """
    a an and are as at be believe by called certainly for from guess he her his i in is it its my
    named of ok okay on she so sure that the their there these they think this those to was we well
    were will with would you your
    """
)
"""Words around an answer that are no part of it."""

NEGATIONS = _set(
    """
    arent cannot didnt doesnt dont except instead isnt neither never nor not than unlike wasnt
    werent without
    """
)
"""Words that turn what follows into what is not meant."""

POLAR = _set("yes no maybe true false")
"""Answers that must lead a response to count."""

BEFORE_POLAR = _set("a and believe hm i it its oh ok okay so the think well")
"""What may stand before an answer that must lead."""

NUMBERS = {
    word: str(value)
    for value, word in enumerate(
        [
            *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
            *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen"),
            *("seventeen", "eighteen", "nineteen", "twenty"),
        ]
    )
}
"""Number words and their digits."""
