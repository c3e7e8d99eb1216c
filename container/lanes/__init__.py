"""The lanes of `make dry-run`: what of the training image can be proved on the machine at hand, and proving it."""
