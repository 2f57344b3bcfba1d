"""A Spark worker: it starts the executors, which judge events and write the lake's files."""

from control.services.cluster._spark import worker

SERVICE = worker(2)
