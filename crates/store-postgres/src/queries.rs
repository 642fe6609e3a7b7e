//! The SQL, one file a query, named by port and question. All of it is prepared on every connection when that is
//! opened, so that a query that does not fit the schema is found at the start and not by a customer.

use std::sync::LazyLock;

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

        const NAMED: &[&str] = &[$($($port::$name),*),*];
    };
}

/// The columns by which a filter of orders may narrow, in the order of the bits of a shape.
const NARROWING: [&str; 3] = ["owner", "status", "payment"];

/// `queries/ledger/orders.sql`, for every set of columns that a filter may name: each shape finds its index.
pub static ORDERS: LazyLock<Vec<String>> = LazyLock::new(|| (0..1 << NARROWING.len()).map(orders_query).collect());

fn orders_query(shape: usize) -> String {
    let named = NARROWING.iter().enumerate().filter(|(bit, _)| shape & 1 << bit != 0).map(|(_, column)| column);
    let narrowed: String = (5..).zip(named).map(|(n, column)| format!("AND {column} = ${n} ")).collect();
    include_str!("../queries/ledger/orders.sql").replace("/* AND owner = $5 ... */", &narrowed)
}

/// Every query.
pub fn all() -> impl Iterator<Item = &'static str> {
    NAMED.iter().copied().chain(ORDERS.iter().map(String::as_str))
}

queries! {
    store: format durability;
    ledger: commit_alone commit_group did_it_happen answer forget_answers forget_commits noticed forget_notices checkout checkout_of_cart
        checkout_of_owner due_checkouts order order_events due_orders overdue stock usage;
    outbox: pending horizon drawn deliver forget_delivered;
    leases: take give_up held begin;
    catalog: save price_lines;
    prices: save rules issued codes batch audit audit_of;
    search: matches;
    feed: all since;
}
