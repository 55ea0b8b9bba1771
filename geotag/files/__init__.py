"""Files whole or not at all, and their names as text."""
