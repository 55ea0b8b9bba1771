"""What the network makes of single pictures, and landmarks of its owner."""
