"""Environments: what algorithms without search act in."""
