"""The console: the pages on which a person works through what `serve` has found."""
