"""geotag tags photo libraries with places."""
