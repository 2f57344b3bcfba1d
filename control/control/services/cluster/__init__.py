"""The profile `cluster`: three brokers that keep each event twice at least, and Spark with executors of its own."""

from control.service import Profile

PROFILE = Profile(about="three brokers, a Spark master and two workers", needs_fresh_home=True)
