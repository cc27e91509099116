"""The content of an instance in its state folder, and the changes that clients make to it."""
