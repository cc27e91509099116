"""A Panther instance's public API on this machine, for the unmodified panther_analysis_tool."""
