"""Measuring what others do: stretches of time, and requests on the wire. Knows nothing of what it measures."""
