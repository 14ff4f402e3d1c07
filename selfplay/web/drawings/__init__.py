"""How the page draws the boards."""
