"""Ground floor: sockets, disk, clock and the arithmetic of machines. Knows nothing of agents or graphs."""
