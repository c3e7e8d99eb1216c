"""Continued pretraining of language models, from a laptop to P5-class GPUs and back."""

__version__ = "0.1.0"
