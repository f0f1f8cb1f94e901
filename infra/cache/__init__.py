"""The answer cache: what was asked before, and whether its answer may be given again."""
