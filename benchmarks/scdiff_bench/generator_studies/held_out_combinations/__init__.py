"""Combinations of type and condition that training never saw."""
