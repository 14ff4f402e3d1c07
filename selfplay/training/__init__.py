"""A run from its first step to its last: the loop, its files, its display, its limits."""
