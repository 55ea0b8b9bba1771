"""The blocks of metadata that photos hold: read, edited, put together again."""
