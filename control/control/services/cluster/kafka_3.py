"""A broker that keeps what the first one keeps."""

from control.services.cluster._brokers import NODES, follower

SERVICE = follower(NODES[2])
