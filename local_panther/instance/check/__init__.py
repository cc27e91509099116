"""The check of an upload, in processes that hostile content can neither outlive nor exhaust."""
