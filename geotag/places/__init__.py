"""Where photos without a position were taken, from the rest of the library and from tracks."""
