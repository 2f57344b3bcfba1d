"""Daily batches: a file of payments a day, with the customers, channels and cities that it names by key."""
