//! The SQL, one file a query, named by port and question. All of it is prepared on every connection when that is
//! opened, so that a query that does not fit the schema is found at the start and not by a customer.

/// Names each query by its file, and lists them all.
macro_rules! queries {
    ($($port:ident: $($name:ident)*;)*) => {
        $(pub mod $port {
            $(
                #[doc = concat!("`queries/", stringify!($port), "/", stringify!($name), ".sql`")]
                #[expect(non_upper_case_globals, reason = "named as its file")]
                pub const $name: &str = include_str!(concat!("../queries/", stringify!($port), "/", stringify!($name), ".sql"));
            )*
        })*

        /// Every query.
        pub const ALL: &[&str] = &[$($($port::$name),*),*];
    };
}

/// Not asked as it is: `ledger::ORDERS` has its shapes.
pub const ORDERS: &str = include_str!("../queries/ledger/orders.sql");

queries! {
    store: format durability;
    ledger: commit did_it_happen answer forget_answers forget_commits noticed forget_notices checkout checkout_of_cart
        checkout_of_owner due_checkouts order order_events due_orders overdue stock usage;
    outbox: pending horizon drawn deliver forget_delivered;
    leases: take give_up held begin;
    catalog: save price_lines;
    prices: save rules issued codes batch audit audit_of;
    search: matches;
    feed: all since;
}
