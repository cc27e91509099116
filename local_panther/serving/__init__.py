"""The replay behind an instance: runs the stored content over CloudTrail, in its own process."""
