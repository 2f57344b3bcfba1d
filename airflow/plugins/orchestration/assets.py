"""What a downstream team can schedule on: `DAG(schedule=[gold])`, also by name: `Asset("gold")`."""

from collections.abc import Mapping
from typing import Any

from airflow.sdk import Asset

bronze = Asset(name="bronze", uri="tieout://lake/bronze", group="payments")
silver = Asset(name="silver", uri="tieout://warehouse/silver", group="payments")
gold = Asset(name="gold", uri="tieout://warehouse/gold", group="payments")


def announce(context: Mapping[str, Any], asset: Asset, changed: bool, **extra: Any) -> None:
    """Say in the task's asset event what moved; without a change there is no event, so that nobody runs for nothing.

    The event shows on the asset's page with its time: that is the asset's freshness.
    """
    if changed:
        context["outlet_events"][asset].extra = {name: value for name, value in extra.items() if value is not None}
    else:
        context["ti"].task.outlets = [other for other in context["ti"].task.outlets if other != asset]
