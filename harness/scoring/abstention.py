"""Does a response decline to answer? And does an accepted answer say that there is none?

A refusal is read in the first or the last three sentences only, so that an aside in the middle of a
long answer does not count, and a sentence that goes on to answer ("I am not sure, but I think it is
Rome") is none.
"""

import re

_NOT = r"(?:do(?:es)? not|don['’]?t|doesn['’]?t|did not|didn['’]?t|cannot|can ?not|can['’]?t"
_NOT += r"|could not|couldn['’]?t|was unable to|were unable to|am unable to|unable to|not able to"
_NOT += r"|wasn['’]?t able to|are not able to|fails? to)"
_SOURCE = r"(?:text|passage|document|documents|context|article|source|sources|handbook|report|page"
_SOURCE += r"|filing|paragraph|table|excerpt|information|data|statement|statements|question|search"
_SOURCE += r"|results?|provided [a-z]+)"
_THING = (
    r"(?:information|details?|data|evidence|mention|records?|context|specifics|answer|figures?)"
)

_NOT, _SOURCE, _THING = (part.replace(" ", r"\ ") for part in (_NOT, _SOURCE, _THING))

REFUSAL = re.compile(
    rf"""
      \bi(?:\ am|['’]m)\ (?:(?:sorry|afraid|so\ sorry),?\ (?:but\ )?(?:i|that|this|there|we|it|no)\b
        |sorry\b(?!\ (?:to\ hear|for\ (?:your|the\ loss)))
        |unable|not\ able|not\ (?:entirely\ |quite\ |completely\ |really\ )?sure|not\ certain
        |not\ aware|unsure|unaware|not\ familiar|unfamiliar)
    | \b(?:i|we)\ (?:really\ |simply\ |just\ |honestly\ )?(?:{_NOT})\ (?:\w+\ )?
        (?:know|say|tell|answer|help|find|recall|remember|assist|determine|provide|have|see|locate
          |identify|confirm|verify|access|browse|think\ (?:i|there)|comment|predict|offer|give
          |be\ sure)\b
    | \b(?:i|we)\ have\ no\ (?:idea|{_THING}|knowledge|clue|way)\b
    | \bi\ apologi[sz]e\b | \bmy\ apologies\b
    | \bas\ an?\ (?:ai|artificial|(?:large\ )?language\ model)\b
    | \b(?:no|without\ (?:any|more|further|additional)|insufficient|not\ enough|limited)
        \ (?:\w+\ ){{0,2}}{_THING}\b(?=.{{0,60}}\b(?:available|provided|given|found|about|on
        |regarding|to\ |in\ the|that|which|as\ to|of\ |,|\.|$))
    | \bthere\ (?:is|was|are|were|isn['’]t|wasn['’]t|aren['’]t|does\ not\ seem\ to\ be
        |doesn['’]t\ seem\ to\ be)
        \ (?:no|enough|any|sufficient|not\ (?:any|enough)|insufficient)\ (?:\w+\ ){{0,3}}{_THING}
    | \b(?:the|this|these|that|your|given|provided)\ (?:\w+\ ){{0,3}}{_SOURCE}
        \ (?:\w+\ ){{0,2}}(?:{_NOT})\ (?:\w+\ ){{0,2}}
        (?:provide|say|state|mention|specify|contain|include|give|tell|indicate|answer|address
          |disclose|reveal|cover|offer|explain|describe|list|discuss|show|make\ clear)
    | \b(?:is|was|are|were|been|it['’]s)\ (?:\w+\ )?(?:not|nowhere|never)\ (?:\w+\ ){{0,2}}
        (?:mentioned|stated|given|specified|provided|disclosed|known|available|clear|found|listed
          |indicated|documented|determinable|answerable|possible\ to)\b
    | \b(?:isn['’]t|wasn['’]t|aren['’]t|weren['’]t)\ (?:\w+\ ){{0,2}}
        (?:mentioned|stated|given|specified|provided|disclosed|known|available|clear|found|listed)\b
    | \b(?:cannot|can\ ?not|can['’]t|could\ not|impossible\ to|not\ possible\ to|difficult\ to)
        \ (?:be\ )?(?:\w+ly\ )?(?:answer(?:ed)?|determine[d]?|known?|calculated?|computed?|inferred?
        |infer|ascertain(?:ed)?|found|established|derived|say|tell|identif(?:y|ied)|provide[d]?)\b
    | \b(?:it\ is|it['’]s|remains|is|are)\ (?:currently\ |still\ |largely\ )?
        (?:unclear|unknown|uncertain|undetermined|unspecified|undisclosed)\b
    | \bunanswerable\b | \bno\ idea\b | \bno\ answer\b | \bbeyond\ my\ (?:knowledge|training|scope)
    | \bmy\ (?:knowledge|training(?:\ data)?|information)\ (?:is\ limited|only|does)
    | \b(?:more|further|additional)\ (?:information|context|details|data)
        \ (?:is|are|would\ be)\ (?:needed|required)
    | \b(?:need|require)\ (?:more|further|additional)\ (?:information|context|details|data)\b
    | \b(?:could|can|would)\ you\ (?:please\ )?(?:provide|clarify|specify|give)\b
    | \bplease\ (?:provide|clarify|specify)\b | \bdecline\ to\ (?:answer|say)\b
    | \b(?:wei(?:ß|ss)\ (?:ich\ )?(?:es\ |das\ |leider\ )*nicht|keine\ (?:ahnung|angabe|information)
        |nicht\ (?:angegeben|erw(?:ä|ae|a)hnt|bekannt|beantwortet|genannt|beantworten)
        |kann\ (?:ich\ )?(?:\w+\ ){{0,3}}nicht\ (?:sagen|beantworten|beantwortet)|leider\ nicht)\b
    | \b(?:no\ (?:lo\ )?s(?:é|e)\b
        |no\ (?:se\ )?(?:menciona|indica|especifica|dice|proporciona|consta)
        |no\ (?:puedo|podemos|tengo|hay)\ (?:\w+\ ){{0,2}}
        (?:responder|decir|informaci|determinar|saber)
        |se\ desconoce|lo\ siento)
    | \b(?:je\ ne\ (?:sais|peux|connais)|je\ n['’]ai\ (?:pas|aucune)|n['’]est\ pas\ (?:\w+\ )?
        (?:mentionn|indiqu|pr(?:é|e)cis|connu|donn)
        |ne\ (?:mentionne|pr(?:é|e)cise|dit|donne|fournit|indique)
        \ pas|aucune\ (?:information|id(?:é|e)e)|d(?:é|e)sol(?:é|e))
    | 不知道 | 无法(?:回答|确定|得知|判断|提供)
    | 没有(?:提到|提及|说明|相关|足够|信息) | 未(?:提及|提到|说明|提供)
    | 不清楚 | 不确定 | 抱歉
    """,
    re.IGNORECASE | re.VERBOSE,
)
_BARE = re.compile(
    r"^\W*(?:(?:is |it is |it's |was )?(?:unknown|not (?:stated|given|mentioned|specified|known"
    r"|available|provided|disclosed|found|answerable|applicable|in the (?:text|document|context))"
    r"|unanswerable|no(?: such)? (?:answer|information|data|mention)(?: (?:given|found|available))?"
    r"|n/?a|none (?:given|stated)|undisclosed|unclear|insufficient (?:information|data)"
    r"|cannot (?:say|tell|answer)|keine angabe|unbekannt|desconocido|inconnu|未知|未提及))\W*$",
    re.IGNORECASE,
)
_GOES_ON = re.compile(
    r"\b(?:but|however)\b,?\s+(?!(?:i|we|you|if|there|please|unfortunately|it|this|that)\b)(?:\S+\s+){2}"
    r"|"
    r"\b(?:but|however|though|although|still|aber|jedoch|pero|mais|sin embargo)\b[^.]*"
    r"\b(?:think|guess|believe|say|likely|probably|possibly|might|may|would|could|is|was|are|were"
    r"|denke|glaube|creo|crois|pense|ist|es|est)\b"
    r"|\b(?:i think|i believe|my (?:best )?guess|ich (?:denke|glaube)|creo que"
    r"|je (?:crois|pense))\b"
    r"|但|不过",
    re.IGNORECASE,
)
_ANCHORS = (
    *("not ", "n't", "n’t", "no ", "unable", "sorry", "apolog", "as an", "unsure", "unaware"),
    *("unfamiliar", "unclear", "unknown", "uncertain", "undis", "unspec", "undet", "unansw"),
    *("insufficient", "limited", "without", "beyond my", "my know", "my training", "my info"),
    *("could you", "can you", "would you", "please", "decline", "need", "require", "cannot"),
    *("cant ", "dont ", "impossible", "difficult", "n/a", "none ", "not"),
    *("nicht", "kein", "unbekannt", "descono", "siento", "ne ", "aucun", "n'", "n’"),
    *("sol", "inconnu", "不", "无", "没", "未", "抱"),
)
"""One of these is in every refusal: most sentences need no closer look."""

_LONGEST = 1000
"""Characters of a sentence that are looked at; a refusal stands near its beginning."""


def refusal(sentence: str) -> int | None:
    """Return where a sentence begins to decline to answer; None where it does not.

    A sentence that goes on to answer ("I am not sure, but I think it is Rome") declines nothing.

    >>> refusal("I am not sure, but I think it is Rome."), refusal("Well, I am not sure.")
    (None, 6)
    """
    text = sentence[:_LONGEST]
    low = text.lower()
    if not any(map(low.__contains__, _ANCHORS)):
        return None
    if _BARE.match(text):
        return 0
    found = list(REFUSAL.finditer(text))
    if not found or _GOES_ON.search(text, found[-1].end()):
        return None
    return found[0].start()


def abstains(sentence: str) -> bool:
    """Say whether a sentence declines to answer.

    >>> abstains("I don't know."), abstains("The text does not provide this information.")
    (True, True)
    >>> abstains("Unknown Pleasures"), abstains("unknown")
    (False, True)
    """
    return refusal(sentence) is not None


def declines(sentences: list[str]) -> bool:
    """Say whether a response, in sentences, declines to answer rather than giving one.

    >>> declines(["I am not sure, but I think it is Rome."]), declines(["Hm.", "I can't say."])
    (False, True)
    """
    near = sentences if len(sentences) <= 6 else [*sentences[:3], *sentences[-3:]]
    return any(abstains(sentence) for sentence in near)
