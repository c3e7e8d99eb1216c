"""Adapters to AWS, one per port of `cloudcpt.jobs`."""
