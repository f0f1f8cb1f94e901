"""The only way to a model: prompt, guard, budget, ledger, back ends."""
