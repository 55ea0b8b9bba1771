"""Pretrained weights, and the features of their networks."""
