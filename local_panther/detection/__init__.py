"""Running rules over records as an instance does: signals for every match, alerts for those that alert."""
