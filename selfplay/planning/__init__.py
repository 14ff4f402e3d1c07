"""What a run will cost on this machine, before it starts."""
