"""The embedded engine: the OpenAI protocol in vLLM's dialect, answered by rules instead of a language model."""
