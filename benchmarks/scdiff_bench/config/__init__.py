"""A study's YAML file, checked before any work; errors name the nearest valid name."""
