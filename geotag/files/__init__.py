"""What holds for files anywhere: writes whole or not at all, names, addresses."""
