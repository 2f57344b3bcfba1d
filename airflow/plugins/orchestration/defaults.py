"""What every task of ours has: an owner, patience for outages, and somebody to tell."""

from datetime import timedelta

from orchestration.incidents import report_incident
from orchestration.settings import OWNER

# Seven tries over about half an hour: 10 s, 20 s, 40 s ... 5 minutes and 5 minutes. A data error makes one try only.
DEFAULTS = {
    "owner": OWNER,
    "retries": 6,
    "retry_delay": timedelta(seconds=10),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=5),
    "on_failure_callback": report_incident,
}
