"""Positions as boards to look at: on the page, in the terminal, as pictures."""
