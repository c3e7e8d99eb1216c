"""Places where models with open weights are published, read over HTTP; nothing else of cloudcpt talks to them."""
