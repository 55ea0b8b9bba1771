"""A table as one HTML file that opens offline: map, gallery, timeline and lists."""
