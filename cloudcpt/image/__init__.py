"""The training image: what goes into it, how it is built, and whether any image keeps the contract."""
