"""Making a corpus fit for training: what `cloudcpt data` does to documents."""
