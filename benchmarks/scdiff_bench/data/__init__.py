"""Data sets: ``datasets`` lists those with a name, and reads a user's own file; add one there."""
