//! Every bound of the system, each with its reason. A list, string, queue, retry or page without a
//! number here does not exist.

use std::time::Duration;

/// Items in one cart. A shop's largest observed baskets are below 100; 500 keeps a quote under a millisecond.
pub const CART_ITEMS_MAX: usize = 500;
/// Copies of one edition in a cart. More is a purchase order, not a cart.
pub const QUANTITY_MAX: u32 = 999;
/// Coupon codes on one cart (the limit commercetools documents).
pub const COUPON_CODES_MAX: usize = 10;
/// Operations in one batch of cart changes: they are decided together while the cart's lane waits.
pub const OPERATIONS_MAX: usize = 100;
/// Idempotency keys a cart remembers by itself, so that a retried add is applied once on every engine.
pub const CART_KEYS_MAX: usize = 16;
/// Source carts a cart remembers having taken over, so that a repeated merge is a no-op.
pub const CART_MERGED_MAX: usize = 16;
/// Cart commands decided together by the head of a cart's lane; bounds the work between two commits.
pub const LANE_BATCH_MAX: usize = 64;
/// Commands waiting in one cart's lane before new ones are told to come back later.
pub const LANE_WAITING_MAX: usize = 4096;
/// Times a cart command is decided again after another node was faster, before the client is asked to retry.
pub const CONFLICT_RETRIES_MAX: u32 = 32;

/// Entries of a cart's free metadata, and the characters of a key and a value.
pub const METADATA_ENTRIES_MAX: usize = 20;
pub const METADATA_KEY_MAX: usize = 64;
pub const METADATA_VALUE_MAX: usize = 500;
/// Characters of the name of a promotion, a group, a tax, a way of shipping.
pub const RULE_ID_MAX: usize = 64;
/// Characters of a promotion's own condition: a screen of text.
pub const EXPRESSION_MAX: usize = 2000;
/// Things a target names, tiers of a scale, parts of a bundle, hours of a week, places of a zone.
pub const RULE_PARTS_MAX: usize = 100;
/// Codes issued at once: a large campaign; a million codes are ten requests.
pub const CODES_MAX: u32 = 100_000;
/// Codes written in one commit: other changes wait no longer than a few milliseconds for it.
pub const CODES_CHUNK: usize = 200;
/// Characters of what issued codes begin with.
pub const CODE_PREFIX_MAX: usize = 32;
pub const NOTE_MAX: usize = 1000;

pub const TITLE_MAX: usize = 500;
pub const DESCRIPTION_MAX: usize = 4000;
pub const NAME_MAX: usize = 200;
pub const SKU_MAX: usize = 64;
pub const COUPON_CODE_MAX: usize = 64;
pub const EMAIL_MAX: usize = 254;
pub const ADDRESS_LINE_MAX: usize = 200;
pub const POSTAL_CODE_MAX: usize = 20;
pub const PHONE_MAX: usize = 32;
pub const URL_MAX: usize = 2048;
pub const DEVICE_MAX: usize = 200;
pub const REASON_MAX: usize = 200;
pub const CUSTOMER_ID_MAX: usize = 255;
pub const PAYMENT_TOKEN_MAX: usize = 255;
pub const IDEMPOTENCY_KEY_MAX: usize = 255;
pub const SEARCH_MAX: usize = 200;
/// Books a search counts: more than anybody pages through, few enough to sort and count in a millisecond.
pub const SEARCH_MATCHES_MAX: usize = 1000;

pub const BOOK_AUTHORS_MAX: usize = 50;
pub const BOOK_CATEGORIES_MAX: usize = 20;
pub const BOOK_EDITIONS_MAX: usize = 20;
/// Grams of one copy with its packing: 100 kg is more than any parcel service takes.
pub const WEIGHT_G_MAX: u32 = 100_000;
/// Bytes of a line in an import; a longer one is no book.
pub const IMPORT_LINE_MAX: usize = 256 * 1024;

pub const PAGE_DEFAULT: usize = 20;
pub const PAGE_MAX: usize = 100;
/// Values listed under one facet.
pub const FACET_VALUES_MAX: usize = 20;

/// Largest absolute amount in minor units: 2^53 − 1, the last integer every JSON reader keeps exact.
pub const AMOUNT_MAX: i64 = 9_007_199_254_740_991;

/// How long an answered idempotency key is kept (the contract promises at least 24 h).
pub const IDEMPOTENCY_KEEP: Duration = Duration::from_secs(48 * 3600);
/// Changes of the payment simulator's ledger that wait for one sync to disk; more wait outside.
pub const JOURNAL_WAITING_MAX: usize = 1024;
/// Times an authorization is sent again, under the same key, before the attempt is given up and voided.
pub const AUTHORIZE_TRIES_MAX: u32 = 5;
/// Refunds of one order. Every event of an order carries them; who needs more refunds the rest at once.
pub const REFUNDS_MAX: usize = 100;
/// Attempts a checkout remembers besides the current one, so that money of an old one is known as its own.
pub const ATTEMPTS_KEPT_MAX: usize = 32;
/// Bytes of the name a payment provider gives a notice. Known ones are below 100.
pub const NOTICE_ID_MAX: usize = 255;
/// Names of jobs and nodes are chosen by whoever runs them, and stored with each lease.
pub const JOB_NAME_MAX: usize = 64;
pub const NODE_NAME_MAX: usize = 128;
/// How long a job stays with a worker that says nothing. Longer than a pause of a process or a failover of the store of leases that
/// is worth waiting for, and short enough that nobody notices who does the job.
pub const LEASE_KEEP: Duration = Duration::from_secs(6);
/// How long the name of a notice is remembered: providers resend for up to three days; a month is safe.
pub const NOTICES_KEEP: Duration = Duration::from_secs(30 * 86_400);
/// Bytes of the name of a system that sends messages, and of the name it gives one. Known ones are below 100.
pub const SENDER_MAX: usize = 255;
pub const MESSAGE_ID_MAX: usize = 255;
/// Bytes of what the systems on a trace's way have noted: no more need be passed on (W3C Trace Context, 3.3.1.5).
pub const TRACE_STATE_MAX: usize = 512;
/// Numbers of a sender that are given up at once when the ones before a message do not come: more than a sender says of one customer
/// while a message is waited for.
pub const GAP_MAX: u64 = 64;
/// How long a request that drives a checkout owns it before the sweeper may take over.
pub const DRIVE_LEASE: Duration = Duration::from_secs(30);
/// Longest wait between two tries of a payment effect.
pub const RETRY_WAIT_MAX: Duration = Duration::from_secs(300);
/// Places whose last tax rates are remembered while their provider is away: a few megabytes, and more than most shops ship to in a day.
pub const TAX_PLACES_KEPT_MAX: usize = 10_000;
/// Longest wait until a provider that refused to release an authorization is asked again: it will lapse there by itself.
pub const REFUSED_WAIT_MAX: Duration = Duration::from_secs(6 * 3600);
/// How often the log hears of one kind of failure of the payment provider: an outage fails every payment.
pub const FAILURES_TOLD_EVERY: Duration = Duration::from_secs(60);
/// Stock below which an edition is shown as running low.
pub const LOW_STOCK: u32 = 5;
