"""How many tokens a prompt is; `infra.llm.tokens` is the way in."""
