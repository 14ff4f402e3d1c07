"""Who chooses moves, and the text that makes each of them."""
