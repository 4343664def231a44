"""Several conditions asked for at once."""
