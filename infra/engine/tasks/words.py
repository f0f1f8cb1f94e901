"""Closed word lists of English that the rules rest on.

Grammar only: function words, calendar words and number words as any English grammar lists them (Quirk et al., *A
Comprehensive Grammar of the English Language*, chapters 2, 3, 6 and 9), and a few words with which people speak about
texts. No word here comes from a document or a question. Everything is lower case.
"""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


QUESTION_WORDS = frozenset({"what", "which", "who", "whom", "whose", "when", "where", "why", "how"})

AUXILIARIES = _set("""
    do does did is are was were am be been has have had can could will would shall should may might must isn't aren't
    wasn't weren't doesn't don't didn't hasn't haven't hadn't can't couldn't won't wouldn't shouldn't
""")

NEGATIONS = _set("""
    no not never none nobody nothing neither nor without cannot nowhere hardly ain't mustn't needn't mightn't isn't
    aren't wasn't weren't doesn't don't didn't hasn't haven't hadn't can't couldn't won't wouldn't shouldn't
""")

DETERMINERS = _set("the a an this that these those my your his her its our their some any each every")

PREPOSITIONS = _set("""
    in on at for to from with by about of into during under over between as through within without against after before
    since until than regarding per via near inside outside behind across along among around beyond despite towards upon
""")

MONTHS = _set("""
    january february march april may june july august september october november december jan feb mar apr jun jul aug
    sep sept oct nov dec
""")

WEEKDAYS = _set("monday tuesday wednesday thursday friday saturday sunday")

DAY_TIMES = _set("today tomorrow yesterday tonight morning noon afternoon evening night midnight weekend")

TIME_UNITS = _set("second minute hour day week month quarter year decade century")

NUMBER_WORDS = _set("""
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion half dozen
    once twice none
""")

ORDINALS = _set("first second third fourth fifth sixth seventh eighth ninth tenth last next other")

CAUSE_WORDS = _set("because since so therefore thus due reason cause as why hence thanks")

REPORTING_WORDS = _set("""
    according mention mentions mentioned discuss discussed discussion describe described say says said state states
    stated statement tell tells told conversation document documents documentation text article page specific
    specifically exact exactly give given
""")
"""Words a question uses about the text rather than about its matter."""

CONJUNCTIONS = _set("and or but if because while so that than then whether although though unless")

PRONOUNS = _set("""
    i me my mine you your yours he him his she her hers it its we us our ours they them their theirs myself yourself
    himself herself itself ourselves themselves somebody someone anybody anyone everybody everyone something anything
    everything here there
""")

REQUESTS = _set("yes please tell explain list compare give show describe find summarize summarise name both also")
"""Words a request begins with, capitalised though they are no names."""

BASE_VERBS = _set("""
    say do think want live work like recommend suggest mention get go buy make have need use give take find write play
    eat plan own earn cost know see win lose join leave come feel look speak teach study tell ask call send offer prefer
    believe describe own run start stop keep pay bring build change move order choose share drive read sell drink
    propose invite remind promise decide visit answer reply advise
""")
"""Common verbs in the form that follows ``did`` or ``will``."""

IRREGULAR_PASTS = _set("""
    was were had did went came left made got took gave told said sent thought knew saw found met bought brought kept
    began broke chose drove ate fell flew forgot grew heard held hid hit hurt lay led lent lost paid put ran rang read
    rose sang sat sold set shook showed shut slept spoke spent stood stole swam taught threw understood woke wore won
    wrote built felt meant became
""")
"""Past tenses that do not end in -ed."""

ADVERBS = _set("""
    now then just still yet already very too even only ever always often again soon today much many more most less few
    really long far
""")

PARTICIPLES = _set("""
    been done made sent built bought brought found given taken written kept paid sold told said held left lost won met
    seen known begun broken chosen driven eaten fallen grown shown spoken worn put set cut
""")
"""Irregular participles, which like words in -ed end a noun phrase."""

LARGER_THAN_LARGE = {
    "better": "good", "worse": "bad", "larger": "large", "wider": "wide", "safer": "safe", "nicer": "nice",
    "closer": "close", "simpler": "simple", "later": "late", "finer": "fine", "further": "far", "farther": "far",
    "denser": "dense",
}  # fmt: skip
"""Comparatives that do not give their adjective by leaving off -er."""
