"""The cost of a run on this machine, before it starts."""
