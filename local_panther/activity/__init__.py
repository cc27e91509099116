"""Activity: who called, which roles they tried and which they got into, whatever rule asks."""
