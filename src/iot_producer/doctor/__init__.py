"""Can a run work here, and will it be exact: each finding with its remedy."""
