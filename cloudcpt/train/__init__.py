"""The training loop, the same on a laptop, in the container and on a cluster; it knows files and ranks only."""
