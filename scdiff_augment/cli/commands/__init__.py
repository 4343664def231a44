"""One module per command of ``scdiff-augment``: its function, options and examples.

May import: everything; heavy libraries only inside functions.
"""
