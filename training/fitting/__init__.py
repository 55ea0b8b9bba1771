"""Recipes, and the loop that fits a network by them."""
