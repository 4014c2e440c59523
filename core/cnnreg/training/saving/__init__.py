"""What a training has come to, written so that it can go on from there."""
