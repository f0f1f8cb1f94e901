"""What each kind of server says of itself: one file a kind, each with ``find``, which asks and returns a `Backend`.

``find(probe, settings, model)`` asks the server of ``probe`` for a model and its window: the ones that ``settings``
name, or ``model`` where an agent asks for one of its own (empty: none). It raises BackendUnavailable for a server that
is not there or not ready, BackendError for one that answers what its kind does not, and ConfigurationError for a model
that is not served, or a tokenizer's folder that holds none.
"""
