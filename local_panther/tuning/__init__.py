"""Tuning: what each threshold and window would have given on recorded CloudTrail."""
