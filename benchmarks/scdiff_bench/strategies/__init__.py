"""Strategies against class imbalance: ``catalogue`` lists them; add one there."""
