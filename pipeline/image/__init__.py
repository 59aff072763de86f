"""From the bytes of a camera's frame to a model's input: what it is, its pixels, what is seen on the way."""
