"""What a corpus is like: measured in one pass, explained, and never shown where it is personal."""
