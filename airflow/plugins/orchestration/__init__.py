"""What the DAG files are made of. Nothing here imports the platform: a task runs its commands as programs."""
