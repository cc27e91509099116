"""Runs the built wheel beside the versions of Panther's packages that people have."""
