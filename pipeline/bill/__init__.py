"""What decisions cost: CPU and GPU time, energy and money, by model, tier and tenant."""
