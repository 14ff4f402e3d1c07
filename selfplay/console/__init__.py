"""What the commands share: the standard output, and commands written for a shell."""
