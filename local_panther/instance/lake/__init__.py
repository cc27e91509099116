"""Work on the data lake that clients start: queries, and benchmarks of a rule."""
