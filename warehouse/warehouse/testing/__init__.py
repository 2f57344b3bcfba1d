"""What tests and drills of the warehouse need: a lake without Spark, a database of their own."""
