"""Learning curves, answers and mistakes as pictures. May import matplotlib."""
