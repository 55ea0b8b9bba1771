"""Reads what cameras and sidecars say of a photo."""
