"""Tuning: counts of the alerts that each threshold and window would have made, and advice."""
