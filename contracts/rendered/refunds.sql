-- Contract 1.0.0.
create table raw.refunds (
    refund_id text not null,
    transaction_id text not null,
    amount numeric(20,4) not null,
    currency text not null,
    reason text not null,
    status text not null,
    occurred_at timestamptz not null,
    customer_id text not null,
    merchant_name text not null,
    utc_offset_minutes smallint not null,
    run text,
    seq bigint,
    redrive_of text,
    status_at timestamptz not null,
    known_at timestamptz not null,
    content_hash uuid not null,
    identity_hash uuid not null,
    load_id bigint not null,
    topic_id text not null,
    partition integer not null,
    "offset" bigint not null,
    constraint refunds_coordinates primary key (topic_id, partition, "offset"),
    constraint refund_id_too_long check (coalesce(length(refund_id), 0) <= 64),
    constraint refund_id_blank check (case when ascii(refund_id) between 33 and 126 then true else length(trim(refund_id, chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || chr(28) || chr(29) || chr(30) || chr(31) || chr(32) || chr(133) || chr(160) || chr(173) || chr(5760) || chr(6158) || chr(8192) || chr(8193) || chr(8194) || chr(8195) || chr(8196) || chr(8197) || chr(8198) || chr(8199) || chr(8200) || chr(8201) || chr(8202) || chr(8203) || chr(8204) || chr(8205) || chr(8232) || chr(8233) || chr(8239) || chr(8287) || chr(8288) || chr(12288) || chr(65279))) > 0 end),
    constraint transaction_id_too_long check (coalesce(length(transaction_id), 0) <= 64),
    constraint transaction_id_missing check (case when ascii(transaction_id) between 33 and 126 then true else length(trim(transaction_id, chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || chr(28) || chr(29) || chr(30) || chr(31) || chr(32) || chr(133) || chr(160) || chr(173) || chr(5760) || chr(6158) || chr(8192) || chr(8193) || chr(8194) || chr(8195) || chr(8196) || chr(8197) || chr(8198) || chr(8199) || chr(8200) || chr(8201) || chr(8202) || chr(8203) || chr(8204) || chr(8205) || chr(8232) || chr(8233) || chr(8239) || chr(8287) || chr(8288) || chr(12288) || chr(65279))) > 0 end),
    constraint amount_not_positive check (amount > 0),
    constraint currency_unknown check (currency in ('USD', 'INR', 'EUR', 'GBP', 'JPY', 'KWD')),
    constraint reason_unknown check (reason in ('CUSTOMER_REQUEST', 'NOT_DELIVERED', 'DAMAGED', 'DUPLICATE_CHARGE', 'FRAUD')),
    constraint status_unknown check (status in ('PENDING', 'SUCCESS', 'FAILED')),
    constraint timestamp_in_future check (occurred_at <= known_at + interval '1 day'),
    constraint timestamp_too_early check (occurred_at >= timestamptz '2000-01-01 00:00:00+00'),
    constraint customer_id_too_long check (coalesce(length(customer_id), 0) <= 64),
    constraint customer_id_missing check (case when ascii(customer_id) between 33 and 126 then true else length(trim(customer_id, chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || chr(28) || chr(29) || chr(30) || chr(31) || chr(32) || chr(133) || chr(160) || chr(173) || chr(5760) || chr(6158) || chr(8192) || chr(8193) || chr(8194) || chr(8195) || chr(8196) || chr(8197) || chr(8198) || chr(8199) || chr(8200) || chr(8201) || chr(8202) || chr(8203) || chr(8204) || chr(8205) || chr(8232) || chr(8233) || chr(8239) || chr(8287) || chr(8288) || chr(12288) || chr(65279))) > 0 end),
    constraint merchant_name_too_long check (coalesce(length(merchant_name), 0) <= 200),
    constraint merchant_name_missing check (case when ascii(merchant_name) between 33 and 126 then true else length(trim(merchant_name, chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || chr(28) || chr(29) || chr(30) || chr(31) || chr(32) || chr(133) || chr(160) || chr(173) || chr(5760) || chr(6158) || chr(8192) || chr(8193) || chr(8194) || chr(8195) || chr(8196) || chr(8197) || chr(8198) || chr(8199) || chr(8200) || chr(8201) || chr(8202) || chr(8203) || chr(8204) || chr(8205) || chr(8232) || chr(8233) || chr(8239) || chr(8287) || chr(8288) || chr(12288) || chr(65279))) > 0 end)
);
create unique index refunds_statuses on raw.refunds (refund_id, (status <> 'PENDING'));
comment on index raw.refunds_statuses is 'One PENDING row and one final row a refund at most.';
create index refunds_occurred_at on raw.refunds (occurred_at);
create index refunds_transaction_id on raw.refunds (transaction_id);
create index refunds_load on raw.refunds (load_id);
create unique index refunds_redrive_of on raw.refunds (topic_id, redrive_of) where redrive_of is not null;
create table raw.duplicate_refunds (
    refund_id text not null,
    status text not null,
    amount numeric(20,4) not null,
    currency text not null,
    content_hash uuid not null,
    run text,
    seq bigint,
    redrive_of text,
    status_at timestamptz not null,
    known_at timestamptz not null,
    load_id bigint not null,
    topic_id text not null,
    partition integer not null,
    "offset" bigint not null,
    primary key (topic_id, partition, "offset")
);
create index duplicate_refunds_load on raw.duplicate_refunds (load_id);
create index duplicate_refunds_redrive_of on raw.duplicate_refunds (topic_id, redrive_of) where redrive_of is not null;
create table raw.rejected_refunds (
    refund_id text,
    transaction_id text,
    amount numeric(20,4),
    currency text,
    reason text,
    status text,
    occurred_at timestamptz,
    customer_id text,
    merchant_name text,
    utc_offset_minutes smallint,
    run text,
    seq bigint,
    redrive_of text,
    status_at timestamptz,
    known_at timestamptz,
    content_hash uuid,
    identity_hash uuid,
    load_id bigint not null,
    topic_id text not null,
    partition integer not null,
    "offset" bigint not null,
    reasons text[] not null check (cardinality(reasons) > 0),
    conflict jsonb,
    primary key (topic_id, partition, "offset")
);
create index rejected_refunds_load on raw.rejected_refunds (load_id);
create unique index rejected_refunds_redrive_of on raw.rejected_refunds (topic_id, redrive_of, content_hash) where redrive_of is not null;
comment on table raw.refunds is
    'Silver: one row a refund and status. Only the loader adds rows, nobody changes them.';
comment on table raw.duplicate_refunds is
    'Events that came again with the same content as the row in raw.refunds.';
comment on table raw.rejected_refunds is
    'Well-formed events that break a rule of the contract, with every broken rule.';
comment on column raw.rejected_refunds.conflict is
    'For CONFLICTING_DUPLICATE, CONTRADICTING_STATUS and SETTLEMENT_MISMATCH: standing, the event that came first '
    '(book, load, feed, seq, offset), and differs, the fields with both values. Of personal fields only the length.';
grant select, insert on raw.refunds, raw.duplicate_refunds, raw.rejected_refunds to loader;
grant select on raw.refunds, raw.duplicate_refunds, raw.rejected_refunds to dbt;
grant select (refund_id, status, content_hash, identity_hash, topic_id, redrive_of) on raw.refunds to redrive;
grant select (content_hash, topic_id, redrive_of) on raw.rejected_refunds to redrive;
grant select (run, refund_id, amount, currency) on raw.refunds, raw.rejected_refunds to ingest;
