"""Roof: the conversation and its doors; the only floor that knows LangGraph."""
