"""The command line: the only layer that prints, and the only one that knows colours."""
