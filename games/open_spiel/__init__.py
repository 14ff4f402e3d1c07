"""The games of OpenSpiel behind `Game` and `StatePool`."""
