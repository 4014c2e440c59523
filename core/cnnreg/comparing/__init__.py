"""Fair comparisons: what is compared, who trains it, and what may be said of the outcome."""
