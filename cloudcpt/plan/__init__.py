"""What a recipe, its data and a machine add up to: rows, steps, learning rates, memory, time and money."""
