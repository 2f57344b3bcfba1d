"""The payment gateway: replayed card payments and Indian payments into Kafka."""
