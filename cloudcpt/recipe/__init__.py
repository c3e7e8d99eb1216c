"""The recipe: a YAML file read with positions, checked as a whole, turned into a frozen model."""
