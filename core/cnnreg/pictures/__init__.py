"""Learning curves, answers, comparisons and times as pictures. May import matplotlib."""
