"""Images: probed when they are read, decoded when they are scored."""
