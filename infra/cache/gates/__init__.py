"""Gates: may the answer kept for one question be given to another? Pure functions, no clock, no disk but the lexicon.

`reading` takes a question apart once, `verdict` compares two readings and says `serve`, `near` or `refuse` with the
reason in plain words. Similarity alone cannot tell 2022 from 2023, so nothing here trusts it alone: closed classes of
words must be the same, and open words may differ only where the lexicon knows both and their token vectors agree.
A language is a folder of word lists beside this file; a question in any other language is matched word for word.
"""
