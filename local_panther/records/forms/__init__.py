"""The forms that CloudTrail comes in: what holds a record, by the content and not by the name."""
