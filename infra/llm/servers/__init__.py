"""What each kind of server says of itself: one file a kind, each with ``find``, which asks and returns a `Backend`."""
