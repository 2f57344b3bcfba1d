{# The change log: written by the fact's merge, applied by the marts behind it. Who reads up to where is a row in
   metadata.consumer_watermarks, moved in the same transaction as the mart. The row fact_transactions is the log's end. #}

{% macro logged_columns() %}
    {{ return([
        'occurred_on', 'occurred_at', 'currency', 'amount', 'status', 'fee_revenue', 'customer_id', 'merchant_key',
        'merchant_name', 'merchant_category', 'payment_method', 'payment_channel', 'country', 'state', 'city',
        'region', 'city_tier', 'is_fraud', 'hour_of_day', 'settlement_seconds',
        'processing_seconds', 'given_segment', 'known_at', 'load_id',
    ]) }}
{% endmacro %}


{# (epoch, seq) of a consumer, or none. #}
{% macro watermark_of(consumer) %}
    {% set rows = run_query(
        "select epoch, seq from metadata.consumer_watermarks where consumer = '" ~ consumer ~ "'"
    ).rows %}
    {{ return([rows[0][0] | int, rows[0][1] | int] if rows else none) }}
{% endmacro %}


{# From where to where this mart moves now. #}
{% macro log_window() %}
    {% set end = watermark_of('fact_transactions') %}
    {% if end is none %}
        {{ exceptions.raise_compiler_error(
            this ~ " has no fact to read: fact_transactions was never built. Nothing was changed."
            ~ " Next: ./scripts/tieout build"
        ) }}
    {% endif %}
    {{ return({'from': watermark_of(this.identifier), 'to': end}) }}
{% endmacro %}


{# Signed contributions of the fact's rows: +1 for what is, -1 for what was. Everything when the mart is rebuilt, else
   what the log holds behind its watermark. The mark in front is what move_watermark() goes by: it is fixed when the
   statement is, and not read again after it. Days that are computed again come from the fact as a whole, and the mart
   has forgotten them before. #}
{% macro contributions(days=[]) %}
    {%- set fact = ref('fact_transactions') -%}
    {%- set log = source('build', 'fact_changes') -%}
    {%- set window = log_window() if execute else {'from': [0, 0], 'to': [0, 0]} -%}
    /* watermark {{ tojson(window) }} */
    {% if is_incremental() -%}
    {%- set within = "epoch = " ~ window['to'][0] ~ " and seq > " ~ window['from'][1] ~ " and seq <= " ~ window['to'][1] -%}
    select
        1 as sign
        {%- for column in logged_columns() %},
        new_{{ column }} as {{ column }}
        {%- endfor %}
    from {{ log }}
    where {{ within }}{% if days %} and not {{ on_days('new_occurred_on', days) }}{% endif %}
    union all
    select
        -1 as sign
        {%- for column in logged_columns() %},
        old_{{ column }} as {{ column }}
        {%- endfor %}
    from {{ log }}
    where {{ within }} and old_status is not null
        {%- if days %} and not {{ on_days('old_occurred_on', days) }}
    union all
    select
        1 as sign
        {%- for column in logged_columns() %},
        {{ column }}
        {%- endfor %}
    from {{ fact }}
    where {{ on_days('occurred_on', days) }}
        {%- endif %}
    {%- else -%}
    select
        1 as sign
        {%- for column in logged_columns() %},
        {{ column }}
        {%- endfor %}
    from {{ fact }}
    {%- endif %}
{% endmacro %}


{% macro forget_days() %}
    {% set days = build_days() %}
    {% if days and is_incremental() %}
        delete from {{ this }} where {{ on_days('occurred_on', days) }};
    {% endif %}
{% endmacro %}


{% macro move_watermark() %}
    {% if execute %}
        {% set mark = modules.re.search('/[*] watermark (.*?) [*]/', model['compiled_code']) %}
        {% set window = fromjson(mark.group(1)) %}
        {% set from = window['from'] or ['null', 'null'] %}
        {% set values = from + window['to'] %}
        select metadata.move_watermark('{{ this.identifier }}', {{ values | join(', ') }}, '{{ build_id() }}');
        {% if should_full_refresh() %}analyze {{ this }};{% endif %}
    {% endif %}
{% endmacro %}


{# A mart that reads another one beside the log is right only when that one has applied the whole log. #}
{% macro require_at_end(consumer) %}
    {% if execute and flags.WHICH in ['build', 'run'] and watermark_of(consumer) != watermark_of('fact_transactions') %}
        {{ exceptions.raise_compiler_error(
            consumer ~ " is behind the change log, so " ~ this.identifier ~ " would read old values. "
            ~ "Nothing was changed. Next: ./scripts/tieout build"
        ) }}
    {% endif %}
{% endmacro %}
