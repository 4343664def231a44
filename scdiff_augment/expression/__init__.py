"""What a matrix holds: kinds of values, genes by name, hashes of cells, checks of what users give.

Imports nothing of the other rooms.
"""
