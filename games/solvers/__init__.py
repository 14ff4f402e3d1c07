"""Perfect play: who wins a position, and with which move."""
