"""The data lake: SQL over the replayed records, in the dialect and with the tables of an instance."""
