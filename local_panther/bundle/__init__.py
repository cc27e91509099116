"""The detections that come with local-panther: where they are, and writing them elsewhere."""
