"""The catalog: what was seen and read, the journal of writes, what the user cleared."""
