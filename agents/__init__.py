"""Second floor: five specialists, ignorant of the graph and of each other."""
