"""Pure functions of numbers: intervals, ratings, scores, sequential tests, averages, moments."""
