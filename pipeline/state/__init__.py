"""Feature state that outlives its process: checkpoints written beside the loop, and the way back from them."""
