"""The data lake: SQL over the replayed records, with the results that an instance would give."""
