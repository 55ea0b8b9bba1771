"""What a model is: its networks, its weights, and what it says of itself."""
