"""Images in memory as the batches that a network is trained and judged on."""
