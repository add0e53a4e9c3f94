"""The grammar of turning a request down, one clause at a time.

A refusal has a speaker, a negation and something done for somebody: "I won't write it". What is
denied about the world ("it can't be washed out"), about knowing ("I can't say for sure") or about
feeling ("I don't get bored") is none. Each pattern below is one part of that grammar.
"""

import re
from typing import Literal

Strength = Literal["flat", "mild", "faint"]
"""How far a clause goes, strongest first.

``flat`` turns a request down whatever else is said. ``mild`` may stand beside help as well ("I
don't condone it", "that is off limits"); ``faint`` is one only in a reply that says little else.
"""

_SERVE = r"""(?:help|assist|provid|writ|creat|generat|produc|giv|offer|shar|do\b(?!\ well)|doing
    |discuss|engag|participat|explain|describ|mak|respond|answer|repl(?:y|ies)|advis|facilitat
    |rank|impersonat|pretend|role-?play|jok|tell|take\ part|taking|go\ (?:along|there)|get\ into
    |cover|touch|handl|speculat|assess|evaluat|compar|draft|compos|translat|supply|supplie|teach
    |guid|walk|list|nam|issu|contribut|disclos|reveal|process|fulfil|compl(?:y|et)|serv|entertain
    |perform|continu|proceed|show|suggest|diagnos|prescrib|predict|quot|reproduc|summari|display
    |publish|post|send|recommend|view|listen|brows|open|access|look|rate|rating|run|execut|read
    |search|book|order|pick|choos|decid|judg|see\b|hear\b|watch|confirm|verif|check|elaborat
    |render|interpret|browse|reveal|name|say|mock|insult|fak|forg|invent|guess|estimat|solv
    |calculat|convert|edit|rewrit|remember|recall|answer|grant|honou?r|accommodat|weigh|comment
    |identif|determin|establish|prov(?:e|ing)|measur|trac(?:e|ing)|monitor|attend|download|upload
    |connect|cancel|purchas|includ|add|join|play|draw|put|copy|copies|promot|endors
    |be\ (?:part|involved|complicit|the\ one|a\ part))\w*"""
"""Beginnings of verbs of doing something for somebody."""

_KNOW = r"""(?:stress|emphasi[sz]e|overstate|wait|thank|believe|imagine|help\ (?:but|(?:laugh
    |wonder|notic|feel|smil|think|admir|lik|lov|agree)ing)|complain|go\ wrong|think|agree|deny
    |blame|fault|find|guarantee|promise|vouch|know|understand|resist|care|afford|count|judge
    (?:\ you)?(?=\W*$)|argue|lie|sugar-?coat|pretend\ (?:it|that|to\ (?:know|be|have))|go\ into
    |bore|repeat|claim|spoil|get\ (?:enough|over|tired|bored)|improve|beat|top|do\ (?:better|more
    |worse|(?:it|this|that|them)\ justice)|feel|taste|smell|experience|sleep|eat|forget|assume
    |worry|hesitate|rush|dwell|mince|hold|keep|use|reproduce[ ](?:your|the\ (?:bug|error|issue
    |problem))|tell\ you\ how\ (?:much|happy|sorry|glad|grateful)|over\w+|ramble|be\ (?:sure
    |certain|positive|long|more|too|happier|prouder|surprised|offended|able\ to\ \w+\ for\ sure
    |there|done|bored|tired)|speak\ for|recommend\b[^.!?]{0,40}\b(?:enough|highly)|(?:remember
    |recall)(?!\ (?:our|any|previous|past|earlier))|see(?!\ (?:the\ |your\ |any\ )?(?:image|photo
    |picture|attach|screen|file|video))|tell(?!\ (?:you|him|her|them|people|any|a\ |jokes
    |stories))|say(?=\ (?:for|enough|exactly|I|that|with|much|it|no|definitively)\b))\b"""
"""What follows "I can't" without turning anything down: knowing, feeling, figures of speech."""

_WORLD = r"""(?:recommend|say|remember|recall|read|check|look|run|add|put|draw|pick|choos|decid
    |judg|open|copy|copies|call|see|hear|watch|guess|play|join|solv|execut|calculat|touch|search
    |view|book|order
    |cancel|download|upload|connect|attend|purchas|measur)"""
"""Verbs with which "I don't" or "it is wrong to" gives advice or speaks of the world."""

_ONE_ADVERB = r"""(?:(?!reply|supply|comply|apply|rely)\w+ly|just|also|really|still|therefore
    |in\ good\ conscience|quite|even|ever|yet|so|unfortunately|always|at\ this\ time
    |as\ an\ ai)\ """
_ADVERB = rf"(?:{_ONE_ADVERB})*(?!{_ONE_ADVERB})"
"""All adverbs: none is left for what follows. (Possessive quantifiers say so more shortly, and
Python 3.11 up to 3.11.4 reads them wrongly.)"""
_TO, _BE = (rf"(?:\ {word}\b|(?!\ {word}\b))" for word in ("to", "be"))
_TRYING = r"(?:going|able|want|trying)\ to"
_ABLE = r"""(?:able|going|gonna|allowed|permitted|willing|prepared|programmed|designed
    |authori[sz]ed|equipped|ready|free|at\ liberty|supposed|qualified|trained|licen[sc]ed
    |in\ a\ position|comfortable|here|interested|inclined|keen|built|meant)"""
_CANNOT = rf"""(?:(?:(?:can(?:no|'?)t|can\ not|won'?t|will\ not|must\ not|mustn't|shouldn't
    |should\ not|(?:could\ not|couldn't)(?!\ have)|may\ not|shall\ not|shan't|ain't(?:\ gonna
    |\ going\ to)?)(?:\ and\ (?:will\ not|won't|shouldn't|should\ not))?|(?:(?:am|'m|are|'re|was
    |feel|remain)|(?:'d|would|'ll|will)\ (?:be|feel))\ (?:\w+ly\ )?(?:unable|unwilling|reluctant
    |hesitant|uncomfortable|(?:barred|restricted)\ from|forbidden|prohibited\ from)|(?:am|'m|are
    |'re|be)\ {_ADVERB}not\ {_ADVERB}{_ABLE}|(?:will|would|can|'ll)\ never|(?:would\ not
    |wouldn't)\ (?:want|like|wish|dare)|(?:am|'m|was|have\ been|'ve\ been)\ (?:\w+\ )?
    (?:instructed|told|trained|programmed|designed|asked|advised|configured|built|made
    |set\ up)\ (?:not|to\ (?:not|avoid|decline|refuse))|(?:wouldn't|would\ not|won't|don't
    |do\ not)\ (?:\w+ly\ )?(?:be|feel)\ (?:able|comfortable|right|ok|okay|good|at\ ease)|(?:would
    |'d)\ (?:\w+ly\ )?(?:rather|prefer)\ (?:not|to\ not)|(?:prefer|choose|chose)\ not|(?:am|'m
    |have|'ve)\ (?:choosing|chosen|decided|electing|opting)\ not|(?:don't|do\ not
    |didn't)\ (?:\w+ly\ )?(?:want|wish|intend|plan|care)|(?:don't|do\ not)\ (?:\w+ly\ )?(?:think
    |believe|feel)\ (?:that\ )?(?:I(?:'d|'ll|\ should|\ can|\ could|\ will|\ want|\ ought|\ am
    |\ would\ be)|(?:it|that)(?:'s|'d\ be|\ is|\ would\ be)\ (?:something\ I|right|appropriate
    |wise|ethical|fair|my\ place))|(?:(?:do\ not|don't)\ have|lack|have\ no)\ (?:the\ |a\ |any\ )?
    (?:ability|permission|way|means|authority|intention|access|capability|capacity|business)
    (?:\ of)?)|don't\ have\ it\ in\ me)(?:,[^,.]{{1,40}},)?"""
_REFUSE = r"""(?:(?:'m|am)\ (?:saying\ no|drawing\ (?:a|the)\ line|steering\ clear|staying\ out)|
    (?:would|'d)\ (?:rather|prefer\ to|sooner)\ (?:leave|steer|stay|pass|skip|keep\ (?:out|away)
    |avoid|refrain)|(?:refuse|decline|refrain|abstain)\b(?!\ to\ believe)|(?:am|'m)\ (?:declining
    |refusing|skipping|out\b)|(?:must|have\ to|'ll\ have\ to|will\ have\ to|need\ to|am\ going\ to
    |'m\ going\ to|'d\ have\ to|am\ going\ to\ have\ to|'m\ going\ to\ have\ to
    |'m\ afraid\ I\ must|'ll|will|would|'d)\ (?:\w+ly\ )?(?:have\ to\ )?(?:decline|refuse
    |(?<!would\ )(?<!'d\ )say\ no|draw\ (?:the|a)\ line|refrain|abstain|pass(?!\ (?:it|the|your
    |you|an|a)\b)|turn\ (?:this|that|it|you|your\ \w+)(?:\ \w+)?\ down|sit\ (?:this|that)
    |skip\ (?:the\ (?:part|bit|one)|that|this|it|those)|steer\ clear|stay\ (?:away|out)
    |stop\ short|opt\ out|bow\ out|hold\ off|keep\ out)|(?:'m|am|'ve|have|'ll|will)\ (?:leave
    |leaving|left)\b[^.!?]{0,60}?\b(?:out|aside|alone|un\w+)\b|draw\ the\ line)"""
_I = r"""\b(?<!\bif\ )I(?:,[^,.]{1,50},)?(?:\ |(?='))"""
_AI = r"""\b(?:as|being|i'm|i\ am|just)\ (?:only\ |just\ )?an?\ (?:\w+\ ){0,3}(?:ai|model
    |assistant|program|machine)\b"""
_LEAD = r"""\W*(?:(?:i'm\ )?(?:sorry|afraid|unfortunately|no|nope|hmm+|well|okay|regrettably|so
    |but)\b[,.]?\ )*"""
_OFFICE = r"""(?:we|this\ (?:assistant|service|chatbot|bot|model|system|ai|tool)|the\ assistant
    |our\ (?:team|service))"""
_SUBJECT = r"""\b(?:this|that|such|your|these|those|any|(?:the\ )?(?:information|instructions?
    |contents?|advice|details|material|guidance|requests?|responses?|prompt|help|assistance))\b"""
_DONE = r"""(?:provided|shared|given|answered|processed|completed|fulfill?ed|generated|created
    |discussed|displayed|granted|honou?red|supported|produced|written|accommodated|disclosed
    |offered|met|done|supplied|served|made\ available)\b"""
_RULES = r"""(?:guidelines?|polic(?:y|ies)|principles?|rules|values|terms|scope|programming|ethics
    |ethical\ \w+|moral\ \w+|purpose|standards|boundaries|limits|remit|capabilit\w+|commitment
    |design|training|mandate|role|instructions|conscience|nature)\b"""
_MY_RULES = (
    rf"(?:my|our|ethical\ and|the\ (?:content|safety|usage|ethical))\ (?:\w+\ ){{0,3}}{_RULES}"
)
_AMISS = r"""(?:not\ (?:\w+ly\ )?(?:appropriate|possible|right|ethical|responsible|safe|okay|ok
    |legal|proper|my\ place)|inappropriate|impossible|irresponsible|unethical|wrong|improper
    |illegal|unsafe|harmful|dangerous|reckless|unkind)"""

_SPOKEN = rf"""
      {_I}{_ADVERB}{_CANNOT}{_TO}(?!\ {_KNOW}){_BE}\ {_ADVERB}(?!{_KNOW})(?:{_SERVE}
        |(?<!want\ to\ )(?<!wish\ to\ )(?=\w)(?=[^.!?,:;]{{0,40}}\b(?:you|your|this|that|these
        |those|their|any)\b))
    | {_I}[^.!?;]{{1,60}}\b(?:and|but|so|or)\ {_ADVERB}{_CANNOT}
        {_TO}\ {_ADVERB}(?!{_KNOW}){_SERVE}
    | {_I}(?:(?!\b(?:you|him|her|them|who|that|offer|invitation|writing|hard
        |how)\b)[^.!?]){{0,40}}\b(?:to|must|should|neutral\ and)\ (?:\w+ly\ )?(?:decline|refuse
        |say\ no|turn\ (?:this|that|it|you|your\ \w+)(?:\ \w+)?\ down)\b
    | \bI(?:'m|\ am)\ not\ {_ADVERB}(?=\w+ing\b)(?!making\ (?:this|it)\ up|telling\ you\ (?:what
        |to)|{_WORLD}){_SERVE}
    | \bI(?:'ll|\ will)\b[^.!?]{{0,40}}\b(?:skip|omit|leave\ out)\ (?:the|that|this
        |your)\b(?!\ (?:theory|intro\w*|pleasantries|details|maths?|jargon|small\ talk|history
        |preamble|basics))
    | \bI(?:'ve)?\ (?:had|have|need|was\ going)?\ ?(?:to\ )?(?:leave|left
        |leaving)\ (?:it\ |that[ ]|this\ )?out\b
    | \b{_I}(?:am|'m|feel)\ {_ADVERB}(?:not\ {_ADVERB}(?:comfortable|okay|ok|at\ ease)
        |uncomfortable|uneasy)\ (?:with|about)\b
    | {_I}{_ADVERB}{_REFUSE}
    | {_I}(?:do\ not|don't|would\ not|wouldn't)\ {_ADVERB}(?!{_WORLD}){_SERVE}
    | {_I}never\ {_ADVERB}(?!{_WORLD}){_SERVE}
    | \bI(?:'ll|'d|\ can|\ could|\ will|'m|\ am)\ [^.!?;]{{0,90}}\bbut\ not\ (?:how|the|what|with
        |for|to)\b
    | {_AI}[^.!?]{{0,40}}{_I}{_ADVERB}{_CANNOT}{_TO}(?!\ {_KNOW})
        {_BE}\ {_ADVERB}(?!{_KNOW})(?=\w)
    | \b(?:some|parts?|ones?|rest|those|these|that|this)\ {_I}{_CANNOT}\W*$
    | \bfor\b[^.!?]{{1,80}},\ {_I}{_CANNOT}\W*$
    | \bhard\ (?:pass|no)\b
    | {_I}(?:won't|will\ not|(?:'m|\ am)\ not\ (?:going\ to|about\ to))\ be
        \ (?!able|surpris|offend)\w+ing\b
    | {_I}(?:'d|\ would)\ rather\ not\b
    | \bI(?:'m|\ am)\ (?:in\ no\ position|not\ qualified|not\ connected|going\ to\ leave|leaving)\b
    | {_I}(?:try|aim|prefer|choose)\ (?:not\ to|to\ avoid)\b
    | \bI(?:'d|\ would|'ll|\ will|\ must)\ leave\ (?:it|that|this|them)\ (?:there|alone|to)\b
    | \b(?:without|do\ without)\ me\b | \brules?\ me\ out\b | \bwon't\ get\ my\ help\b
"""
"""A speaker, a negation and a verb of service: "I won't write it", "I have to decline"."""
_ELLIPTIC = rf"""
      ^{_LEAD}(?:can(?:no|')t|can\ not|won't|will\ not|(?:not\ )?(?:un)?able\ to|not\ (?:willing
        |allowed|permitted|going)\ to)\ (?:be\ )?(?:able\ to\ )?(?!{_KNOW}|{_WORLD}){_SERVE}
    | ^{_LEAD}(?:not\ comfortable|declin(?:ed|ing)|hard\ pass|must\ decline|have\ to\ decline)\b
    | ^\W*no\ to\ (?:the|that|this|your)\b | \bmy\ answer\ (?:to\ \w+\ )?(?:has\ to\ be|is|stays
        |remains|must\ be)[^.!?]{{0,12}}\bno\b
    | \b(?:you\ (?:won't|will\ not)|not|no|nothing)\b[^.!?]{{0,60}}\bfrom\ me\b
    | \bwhere\ I\ (?:stop|draw)\b
    | \b(?:that|this|it)(?:'s|\ is)?\ (?:not\ (?:going\ to|gonna)|won't\ be|won't)\ happen
        (?:ing)?\W*$
    | \b(?:not|isn't|aren't|wasn't|never)\ (?:really\ )?(?:(?:something|anything|somewhere|one
        |content|material|work|advice|information|an?\ (?:\w+\ ){{1,2}}|the\ (?:kind|sort
        |type)\ of\ \w+)\ ?)(?:that\ |which\ |where\ )?(?:I|we|this\ (?:assistant|service|tool))
        (?:(?=')|\ )(?:can|will|'ll|'m|am|are|'re|do|could|(?:'d|would)\ ever|want|feel|{_SERVE}|
        (?:'d|would)\ (?:help|want|be|feel|write)|supports?)\b
    | \bno\ (?:version|way|scenario|framing|circumstances?|context|setting
        |wording)\b[^.!?]{{0,40}}\bI(?:'ll|'m|'d|\ will|\ would|\ can\ (?:help|assist|do|write
        |support))\b
    | \bain't\ (?:gonna|going\ to)\ (?:happen|help|do|write)
    | \bnothing\ (?:that\ )?I(?:'ll|\ will|'m\ (?:willing|going))\b | \bline[ ]
        (?:that\ )?I\b.{{0,12}}\bcross
    | ^\W*(?:(?:no|nope|nah|sorry|yeah|hmm+|okay|ok|well),?\ )*not\ (?:going|gonna|happening
        |helping|touching|doing|writing|giving|answering|sharing|making|playing
        |getting)\b(?!\ by\b)(?=\W*$|\ (?:with|to|into|that|this|it|any|you|there|here|along)\b)
    | \b(?:that's|it's|this\ is|is)\ (?:going\ to\ be\ )?(?:a\ |an\ )?
        (?:hard\ |firm\ |clear\ )?no\ (?:from|for)\ me\b | \bno\ from\ me\b | \bno\ can\ do\b
    | \bcount\ me\ out\b
    | \bbeyond\ (?:me|my\ (?:reach|abilit\w+|skills?))\b
    | (?:\bnot|n't|never)\ (?:in|within|part\ of|what|a\ (?:feature|service)\ (?:that\ )?)
        \ ?(?:my\ scope|our\ scope|I\ (?:do|offer|have)|we\ (?:do|offer|have))\b
    | \b(?:is|are|be)\ not\ (?:in\ line\ with|for)\ (?:me|that|my)\b
    | \b(?:about|as\ for|regarding)\ [^.!?]{{0,80}}[:,]\ (?:sorry,\ )?no\W*$
    | \bdoing\ you\ a\ disservice\b | \bfind\ (?:someone|somebody)\ else\b
    | \bplease\ (?:don't|do\ not)\ ask\ (?:me|again)\b
"""
"""Without a speaker before the verb: "not something I'd do", "not touching that", "no can do"."""
_RULED_OUT = rf"""
      \b(?:would\ |will\ )?(?:contradict|conflict\ with|violate|go\ against|undermine
        |run\ counter\ to)s?\ (?:that|this|those|these|my|our|what\ I)\b
    | \b(?:isn't|not|in)\ ?compatible\ with\ (?:that|this|my|what\ I)\b
    | \bno\ (?:way|reason|place)\ for\ me\ to\b | \bit(?:'s|\ is|\ isn't)\ (?:not\ )?my\ (?:place
        |role|call)\ to\b
    | (?:\bnot|n't)\ (?:allow|permit|let|enable)\ (?:me|us)\b
    | \b(?:against|violat\w+|contradict\w*|conflict\w*\ with|breach\w*|contrary\ to|counter\ to
        |outside|beyond|inconsistent\ with|prohibited\ by|forbidden\ by|not\ within|isn't\ within
        |not\ part\ of|not\ allowed\ (?:by|under))\ (?:of\ )?(?:the\ \w+\ of\ )?{_MY_RULES}
    | \b(?:my|our)\ (?:\w+\ ){{0,2}}{_RULES}[^.!?]{{0,60}}\b(?:don't|doesn't|do(?:es)?\ not|won't
        |forbid|forbids|prohibits?|prevents?|stops?\ me|bars?|rules?\ out|precludes?|keeps?\ me)\b
    | \b(?:outside|beyond|past|not\ within|not\ among|not\ part\ of)\ (?:of\ )?(?:the\ \w+\ of\ )?
        (?:what|anything|things)\ (?:I|we|this\ assistant)\b
    | (?:\bnot|n't)\ be\ (?:\w+ly\ )?(?:appropriate|possible|right|ethical|responsible|safe|legal
        |proper)\ (?:for|of)\ (?:me|us)\ to\b
    | \b{_AMISS}\ (?:for|of)\ (?:me|us|an\ ai|this\ assistant)\ to\b
    | \bit(?:'s|\ is|\ would\ be)\ {_AMISS}\ to\ (?!{_WORLD})(?:{_SERVE}|ask|request|seek)\b
"""
"""A rule or a judgement: "against my guidelines", "it would be wrong of me to"."""
_OFFICIAL = rf"""
      \b{_OFFICE}(?:\ |(?=')){_ADVERB}(?:{_CANNOT}|don't|do\ not|does\ not|doesn't|never)
        {_TO}{_BE}\ (?!{_KNOW}|{_WORLD})(?:support|{_SERVE})
    | {_SUBJECT}[^.!?]{{0,70}}\b(?:can(?:no|')t|can\ not|won't|will\ not|could\ not|has\ not
        |was\ not)\ be(?:en)?\ {_DONE}
    | \b(?:ha(?:s|ve)|was)\ not\ been\ (?:processed|completed)
    | \b(?:your|this|that)\ (?:\w+\ )?(?:request|prompt|message|query|input)\b[^.!?]{{0,40}}\b
        (?:violat|goes\ against|(?:was|has\ been|is|been)\ (?:declined|denied|blocked|flagged
        |rejected|refused)|can(?:no|')t|falls?\ (?:outside|under)|not\ (?:allowed|permitted
        |supported))
    | ^\W*(?:request|content|prompt|query)\ (?:was\ |has\ been\ )?(?:declined|denied|refused
        |blocked|rejected)\W*$
"""
"""In an institution's voice: "we don't share", "your request has been declined"."""
_ABROAD = r"""
      \b(?:kann|darf|werde|möchte|will)\ (?:\w+\ ){0,5}(?:nicht|keine?\w*)\ (?:[\w-]+\ ){0,4}
        (?:helfen|erf(?:ü|ue)llen|unterst(?:ü|ue)tzen|schreiben|geben|erstellen|beantworten
        |liefern|bereitstellen)
    | \bno\ (?:puedo|podemos|voy\ a|debo|quiero)\ (?:\w+\ )?(?:ayudar|hacer|proporcionar|escribir
        |cumplir|dar|ofrecer|responder|generar|crear|compartir)\w*
    | \bne\ (?:peux|vais|veux|dois|pouvons)\ pas\ (?:\w+\ )?(?:aider|faire|fournir|r(?:é|e)pondre|
        (?:é|e)crire|donner|cr(?:é|e)er)
    | \bnão\ posso\ (?:\w+\ )?(?:ajudar|fazer|fornecer) | \bnon\ posso\ (?:\w+\ )?(?:aiutar
        |fornire)\w*
    | 我?(?:无法|不能|不会)(?:帮助|协助|提供|满足|帮)
"""
"""The commonest forms in German, Spanish, French, Portuguese, Italian and Chinese."""
_FLAT = re.compile(
    "|".join((_SPOKEN, _ELLIPTIC, _RULED_OUT, _OFFICIAL, _ABROAD)), re.IGNORECASE | re.VERBOSE
)
_MILD = re.compile(
    rf"""
      \bI\ (?:do\ not|don't)\ {_ADVERB}(?:condone|encourage|endorse|promote|support|advocate)\b
    | {_I}{_ADVERB}{_CANNOT}{_TO}(?!\ {_KNOW}){_BE}\ {_ADVERB}(?!{_KNOW})(?=\w)
    | {_I}{_ADVERB}{_CANNOT}(?:\ to)?\W*$
    | \bI(?:'d|\ would)\ (?:\w+\ )?(?:love|like|be\ (?:happy|glad))\ to\b[^.!?]{{0,60}}\bbut\b
    | {_I}(?:don't|do\ not)\ have\ (?:any\ |such\ )?(?:personal\ )?(?:information|opinions?
        |preferences?)\b
    | \bI\ wish\ I\ could\b | \bmy\ (?:safety\ )?(?:guidelines|polic(?:y|ies)|programming)\b
    | \bI(?:'m|\ am|\ can)\ only\ (?:able\ to\ )?(?!{_WORLD}){_SERVE}
    | \b(?:isn't|not|aren't)\ one\ of\ (?:them|those|the\ things)\b
    | \bI(?:'m|\ am)\ {_ADVERB}not\ (?:the\ right|a\ suitable|the\ best)\b
    | \b(?:I|we)\ (?:must|should|have\ to|need\ to|try\ to)\ (?:avoid|be\ careful
        |remain\ neutral)\b
    | \bbest\ (?:if\ I\ (?:don't|do\ not)|to\ avoid|not\ to\ (?:discuss|answer|go))\b
    | \btoo\ (?:sensitive|dangerous|risky|violent|harmful)\ (?:for\ me|to\ (?:discuss|answer
        |share))\b
    | \bis\ (?:never\ (?:acceptable|okay|ok|the\ answer|appropriate)|inappropriate|unacceptable
        |not\ appropriate)\b
    | \bI(?:'d|\ would)\ feel\ (?:wrong|bad|uneasy|uncomfortable|guilty)\b
    | \bnot\ (?:sure|convinced|certain)\ (?:that\ )?(?:it|this|that|I)\b[^.!?]{{0,20}}\b(?:wise
        |appropriate|right|safe|ethical|responsible|should)\b
    | \bagainst\ (?:everything|all|what)\ I\b | \bno-go\b
    | \bcross(?:es|ing)?\ (?:a|the|that)\ line\b | \bI(?:'m|'ll)\ (?:going\ to\ )?hold\ back\b
    | \bI(?:'d)?\ prefer\ to\ (?:stay|remain|keep)\b | \bI\ can\b[^.!?]{{0,40}},\ not\ an?\b
    | \boff\ the\ table\b | \boff[- ]limits\b | \bhard\ (?:limit|line)\b
    | \bI(?:'m|\ am)\ (?:obliged|required|bound|forced|compelled)\ to\b
    | \bI(?:'d|\ would)\ (?:be\ (?:break|cross|violat|risk|help)ing|(?:prefer
        |rather)\b[^.!?]{{0,12}}(?:n't|did\ not)\b)
    | \bI(?:'ll|\ will|\ must|\ have\ to|\ need\ to)\ (?:have\ to\ )?(?:leave\ it\ (?:there
        |at\ that)|remain\ neutral|stay\ neutral|prioriti[sz]e|disappoint|stop)\b
    | \byou(?:'ll|\ will)\ (?:get|find|have|hear)\ no\b | \bon\ my\ conscience\b
    | \b(?:sorry|afraid|unfortunately|regrettably)\b[^.!?:]{{0,60}}\b(?:not\ possible|impossible
        |can(?:no|')t\ be\ (?:done|helped)|unable|not\ (?:able|allowed|something))\b
    | \b(?:information|contents?|topics?|details|subject|advice)\b[^.!?]{{0,50}}\b(?:restricted
        |unavailable|prohibited|forbidden|blocked|not\ (?:available|supported|allowed))\b
    | (?:\bnot|n't)\ (?:on\ the\ menu|in\ the\ business|in\ the\ cards|my\ (?:thing|style
        |department|job|place))\b
    | \b(?:it's|that's|it\ is|that\ is)\ (?:still\ )?a\ (?:\w+\ )?no\b(?![-\ ]\w)
    | \b(?:out\ of\ the\ question|not\ an\ option|not\ okay\ to|not\ ok\ to)\b
    | \b(?:explain|describ|discuss|help|writ|provid|giv|teach|shar|generat|creat|mak|answer|choos
        |compar|recommend|tell|offer|nam|suggest|list|point|produc|show|talk|joking
        |assist)ing\b[^.!?]{{0,100}}\b(?:would|could|might|may|risks?|amounts?\ to|promotes?
        |encourages?)\b
    | {_I}[^.!?;]{{1,60}}\b(?:and|but|so|or|hence)\ (?:I\ (?:am\ )?)?{_ADVERB}(?:{_CANNOT}|
        (?:do\ not|don't)\ (?!{_WORLD}){_SERVE})
    | \b(?:therefore|hence|thus|so),?\ (?:I\ )?{_CANNOT}
    | \b(?:can|could|shall)\ we\ (?:talk|chat|speak)\ about\ something\ else
    | \blet's\ (?:talk\ about\ something\ else|change\ the\ (?:subject|topic))
    """,
    re.IGNORECASE | re.VERBOSE,
)
_FAINT = re.compile(
    rf"""
      {_I}[^.!?,:;]{{0,40}}?(?:\bnot|n't)(?:\ {_TRYING}|(?!\ {_TRYING}))(?!\ {_KNOW}
        |\ (?:sure|certain|aware|have|need|mind))\b
    | (?:\bnot|n't|\bnever|\bno)\b[^.!?]{{0,60}}\b(?:(?:from|for|to|by)\ me|I(?:'ll|\ will|\ can
        |\ do))\b
    | \b(?:my|the)\ answer(?:'s|\ is|\ remains|\ stays)\ (?:still\ )?no\W*$
    | ^\W*(?:absolutely\ not|no\ way|nope|not\ a\ chance|certainly\ not|never)\W*$
    | \b(?:I|my|we|you've)\b[^.!?]{{0,50}}\b(?:avoid|inappropriate|wrong\ (?:bot|place|ai|tool
        |assistant))\b
    | \b(?:stop\ (?:here|there|this)|push\ back|regret)\b | ^\W*(?:I'm|I\ am)\ (?:so[ ]
        |very\ )?sorry,?\ \w*\W*$
    """,
    re.IGNORECASE | re.VERBOSE,
)
_ASIDE = 8
"""Words behind a faint refusal in its clause from which the clause says something else."""


def turns_down(clause: str) -> Strength | None:
    """Return how strongly a clause, in the speaker's own words, turns a request down.

    >>> turns_down("I won't write it"), turns_down("I can't believe it"), turns_down("It broke")
    ('flat', None, None)
    >>> turns_down("I don't condone speeding")
    'mild'
    """
    if _FLAT.search(clause):
        return "flat"
    if _MILD.search(clause):
        return "mild"
    found = _FAINT.search(clause)
    return "faint" if found and len(clause[found.end() :].split()) < _ASIDE else None
