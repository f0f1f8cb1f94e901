"""First floor: what one can do with documents, without a graph and without an agent."""
