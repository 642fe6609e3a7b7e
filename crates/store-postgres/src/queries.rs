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

queries! {
    store: format durability;
}
