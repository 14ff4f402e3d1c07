"""Our players in other programs: GTP, UCI, OpenSpiel."""
