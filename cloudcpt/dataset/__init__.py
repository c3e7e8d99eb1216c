"""The dataset: JSONL files of `{"text": ...}` lines, how a line is read, checked, measured and tokenised."""
