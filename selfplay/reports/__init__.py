"""Several runs side by side: what they wrote about themselves, as curves with intervals, tables and a page."""
