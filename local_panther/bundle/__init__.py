"""The detections that come with local-panther, and how they are written into a repository."""
