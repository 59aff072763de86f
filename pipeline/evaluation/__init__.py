"""What if: two configurations over the same recorded traffic, and how sure their difference is."""
