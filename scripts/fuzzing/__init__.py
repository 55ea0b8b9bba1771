"""What `scripts/fuzz.py` runs: a target for each kind of input that comes from strangers."""
