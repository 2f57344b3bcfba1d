-- Contract 1.1.0.
create table raw.transactions (
    transaction_id text not null,
    customer_id text not null,
    customer_name text,
    customer_email text,
    merchant_name text not null,
    merchant_category text not null,
    amount numeric(20,4) not null,
    payment_method text not null,
    status text not null,
    failure_reason text,
    occurred_at timestamptz not null,
    city text,
    state text,
    country text,
    currency text not null,
    device_type text,
    ip_address text,
    is_fraud boolean,
    processing_seconds numeric(20,4),
    customer_segment text,
    fee_percent numeric(20,4),
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
    constraint transactions_coordinates primary key (topic_id, partition, "offset"),
    constraint transaction_id_too_long check (coalesce(length(transaction_id), 0) <= 64),
    constraint transaction_id_blank check (case when ascii(transaction_id) between 33 and 126 then true else length(trim(transaction_id, chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || chr(28) || chr(29) || chr(30) || chr(31) || chr(32) || chr(133) || chr(160) || chr(173) || chr(5760) || chr(6158) || chr(8192) || chr(8193) || chr(8194) || chr(8195) || chr(8196) || chr(8197) || chr(8198) || chr(8199) || chr(8200) || chr(8201) || chr(8202) || chr(8203) || chr(8204) || chr(8205) || chr(8232) || chr(8233) || chr(8239) || chr(8287) || chr(8288) || chr(12288) || chr(65279))) > 0 end),
    constraint customer_id_too_long check (coalesce(length(customer_id), 0) <= 64),
    constraint customer_id_missing check (case when ascii(customer_id) between 33 and 126 then true else length(trim(customer_id, chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || chr(28) || chr(29) || chr(30) || chr(31) || chr(32) || chr(133) || chr(160) || chr(173) || chr(5760) || chr(6158) || chr(8192) || chr(8193) || chr(8194) || chr(8195) || chr(8196) || chr(8197) || chr(8198) || chr(8199) || chr(8200) || chr(8201) || chr(8202) || chr(8203) || chr(8204) || chr(8205) || chr(8232) || chr(8233) || chr(8239) || chr(8287) || chr(8288) || chr(12288) || chr(65279))) > 0 end),
    constraint customer_name_too_long check (coalesce(length(customer_name), 0) <= 200),
    constraint customer_email_too_long check (coalesce(length(customer_email), 0) <= 320),
    constraint merchant_name_too_long check (coalesce(length(merchant_name), 0) <= 200),
    constraint merchant_name_missing check (case when ascii(merchant_name) between 33 and 126 then true else length(trim(merchant_name, chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || chr(28) || chr(29) || chr(30) || chr(31) || chr(32) || chr(133) || chr(160) || chr(173) || chr(5760) || chr(6158) || chr(8192) || chr(8193) || chr(8194) || chr(8195) || chr(8196) || chr(8197) || chr(8198) || chr(8199) || chr(8200) || chr(8201) || chr(8202) || chr(8203) || chr(8204) || chr(8205) || chr(8232) || chr(8233) || chr(8239) || chr(8287) || chr(8288) || chr(12288) || chr(65279))) > 0 end),
    constraint merchant_category_too_long check (coalesce(length(merchant_category), 0) <= 100),
    constraint merchant_category_missing check (case when ascii(merchant_category) between 33 and 126 then true else length(trim(merchant_category, chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || chr(28) || chr(29) || chr(30) || chr(31) || chr(32) || chr(133) || chr(160) || chr(173) || chr(5760) || chr(6158) || chr(8192) || chr(8193) || chr(8194) || chr(8195) || chr(8196) || chr(8197) || chr(8198) || chr(8199) || chr(8200) || chr(8201) || chr(8202) || chr(8203) || chr(8204) || chr(8205) || chr(8232) || chr(8233) || chr(8239) || chr(8287) || chr(8288) || chr(12288) || chr(65279))) > 0 end),
    constraint amount_not_positive check (amount > 0),
    constraint payment_method_unknown check (payment_method in ('Credit Card', 'Debit Card', 'UPI', 'Net Banking', 'Wallet')),
    constraint status_unknown check (status in ('PENDING', 'SUCCESS', 'FAILED')),
    constraint failure_reason_too_long check (coalesce(length(failure_reason), 0) <= 200),
    constraint failure_reason_missing check (status <> 'FAILED' or case when ascii(coalesce(failure_reason, '')) between 33 and 126 then true else length(trim(coalesce(failure_reason, ''), chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || chr(28) || chr(29) || chr(30) || chr(31) || chr(32) || chr(133) || chr(160) || chr(173) || chr(5760) || chr(6158) || chr(8192) || chr(8193) || chr(8194) || chr(8195) || chr(8196) || chr(8197) || chr(8198) || chr(8199) || chr(8200) || chr(8201) || chr(8202) || chr(8203) || chr(8204) || chr(8205) || chr(8232) || chr(8233) || chr(8239) || chr(8287) || chr(8288) || chr(12288) || chr(65279))) > 0 end),
    constraint failure_reason_unexpected check (status = 'FAILED' or failure_reason is null),
    constraint timestamp_in_future check (occurred_at <= known_at + interval '1 day'),
    constraint timestamp_too_early check (occurred_at >= timestamptz '2000-01-01 00:00:00+00'),
    constraint city_too_long check (coalesce(length(city), 0) <= 100),
    constraint state_too_long check (coalesce(length(state), 0) <= 100),
    constraint country_too_long check (coalesce(length(country), 0) <= 100),
    constraint currency_unknown check (currency in ('USD', 'INR', 'EUR', 'GBP', 'JPY', 'KWD')),
    constraint device_type_too_long check (coalesce(length(device_type), 0) <= 50),
    constraint ip_address_too_long check (coalesce(length(ip_address), 0) <= 45),
    constraint processing_time_negative check (coalesce(processing_seconds, 0) >= 0),
    constraint customer_segment_too_long check (coalesce(length(customer_segment), 0) <= 50),
    constraint fee_percent_out_of_range check (coalesce(fee_percent, 0) between 0 and 100)
);
create unique index transactions_statuses on raw.transactions (transaction_id, (status <> 'PENDING'));
comment on index raw.transactions_statuses is 'One PENDING row and one final row a transaction at most.';
create index transactions_occurred_at on raw.transactions (occurred_at);
create index transactions_load on raw.transactions (load_id);
create unique index transactions_redrive_of on raw.transactions (topic_id, redrive_of) where redrive_of is not null;
create table raw.duplicates (
    transaction_id text not null,
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
create index duplicates_load on raw.duplicates (load_id);
create index duplicates_redrive_of on raw.duplicates (topic_id, redrive_of) where redrive_of is not null;
create table raw.rejected_transactions (
    transaction_id text,
    customer_id text,
    customer_name text,
    customer_email text,
    merchant_name text,
    merchant_category text,
    amount numeric(20,4),
    payment_method text,
    status text,
    failure_reason text,
    occurred_at timestamptz,
    city text,
    state text,
    country text,
    currency text,
    device_type text,
    ip_address text,
    is_fraud boolean,
    processing_seconds numeric(20,4),
    customer_segment text,
    fee_percent numeric(20,4),
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
create index rejected_transactions_load on raw.rejected_transactions (load_id);
create unique index rejected_transactions_redrive_of on raw.rejected_transactions (topic_id, redrive_of, content_hash) where redrive_of is not null;
comment on table raw.transactions is
    'Silver: one row a transaction and status. Only the loader adds rows, nobody changes them.';
comment on table raw.duplicates is
    'Events that came again with the same content as the row in raw.transactions.';
comment on table raw.rejected_transactions is
    'Well-formed events that break a rule of the contract, with every broken rule.';
comment on column raw.rejected_transactions.conflict is
    'For CONFLICTING_DUPLICATE, CONTRADICTING_STATUS and SETTLEMENT_MISMATCH: standing, the event that came first '
    '(book, load, feed, seq, offset), and differs, the fields with both values. Of personal fields only the length.';
grant select, insert on raw.transactions, raw.duplicates, raw.rejected_transactions to loader;
grant select on raw.transactions, raw.duplicates, raw.rejected_transactions to dbt;
grant select (transaction_id, status, content_hash, identity_hash, topic_id, redrive_of) on raw.transactions to redrive;
grant select (content_hash, topic_id, redrive_of) on raw.rejected_transactions to redrive;
grant select (run, transaction_id, amount, currency) on raw.transactions, raw.rejected_transactions to ingest;
