"""The box that content code runs in."""
