"""What several nodes did, played again and told as one story."""
