"""What learns: the algorithms, their networks, and gradient descent."""
