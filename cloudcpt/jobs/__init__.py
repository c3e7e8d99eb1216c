"""What a job is and what can be done with one, wherever it runs: start once, watch, stop, bring the model back."""
