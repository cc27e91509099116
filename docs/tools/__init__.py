"""Generates the output and the pictures in the documentation."""
