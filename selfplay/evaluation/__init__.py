"""How strong something is: matches, episodes, labelled positions."""
