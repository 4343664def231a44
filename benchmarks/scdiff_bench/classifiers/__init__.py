"""Classifiers that strategies are compared on: ``catalogue`` lists them; add one there."""
