"""Builds what the documentation shows from the commands that it documents."""
