"""The SQL of the detections on the Alerts page: the schema patterns, kept by `tieout patterns`."""

BY_PATTERN = """\
select watch, pattern, action, count(*)::bigint as detections, count(*) filter (where holds)::bigint as still_true,
    max(detected_at) as newest
from patterns.detections_now group by watch, pattern, action order by newest desc, pattern
"""

DETECTIONS = """\
select detected_at, watch, pattern, action, merchant, customer, chunk, evidence::text as evidence, detection_id,
    case when holds then 'yes' else 'no, since chunk ' || changed_in_chunk end as still_true
from patterns.detections_now order by detected_at desc, sequence desc limit %(most)s
"""

# What is wrong with chunks, and not settled.
FINDINGS = """\
select w.name as watch, f.kind, f.says, f.found_at
from patterns.findings f join patterns.watches w using (watch_id)
where f.settled_at is null order by f.found_at desc limit 20
"""
