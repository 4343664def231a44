"""Units of work: computed in parallel, kept one by one, never computed twice."""
