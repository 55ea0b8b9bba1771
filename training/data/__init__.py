"""Training photos: read, split, decoded, augmented."""
