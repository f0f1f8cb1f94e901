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
