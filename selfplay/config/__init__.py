"""The settings of a run: what there is, and how files and flags are read."""
