"""Games whose rules are arrays and compiled kernels."""
