"""Text arithmetic without a model: terms, sentences, tagged blocks. Pure functions, standard library and a stemmer."""
