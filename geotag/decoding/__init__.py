"""Photos to pixels, for training and scanning alike."""
