"""What this machine is, and what is kept for it."""
