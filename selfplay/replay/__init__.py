"""What the learner samples from."""
