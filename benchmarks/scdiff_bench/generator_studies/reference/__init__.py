"""A reference and one's own batch: a type is borrowed from where it is abundant."""
