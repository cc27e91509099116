"""The replay behind an instance: stored content over recorded CloudTrail, in its own process."""
