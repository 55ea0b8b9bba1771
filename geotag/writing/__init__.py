"""Tags into photos and sidecars, verified, and back."""
