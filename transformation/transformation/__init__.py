"""Runs the dbt project beside it: builds of the marts, their lock and record, tests over whole marts, documentation."""
