"""Reading CloudTrail: files of any form, as records in order of time, each once."""
