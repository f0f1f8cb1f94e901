"""The embedded engine: vLLM's dialect of the OpenAI protocol, answered by stated rules, without a language model.

One core (``core.Engine.handle``) turns a request into an answer; the two in-process transports, and the app that is
served on a port, only carry its chunks at the time they are due. What it says is decided in ``reply`` and ``tasks``.
"""
