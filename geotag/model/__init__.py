"""What a model is: its networks, its weights, and its description."""
