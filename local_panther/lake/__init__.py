"""The data lake: SQL over the replayed records, as it runs on an instance."""
