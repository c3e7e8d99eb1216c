"""What a finished job says: one self-contained HTML page, and the same numbers as JSON."""
