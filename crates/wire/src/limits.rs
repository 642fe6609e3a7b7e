//! Bounds on how requests are read; what they may ask for is bounded in `domain::limits`.

/// Members of one object. The largest request object has a dozen fields, metadata has 20 entries; the bound
/// keeps the search for duplicates short.
pub const MEMBERS_MAX: usize = 64;
/// Errors told at once: enough for a person, and no lever to turn a small body into a large answer.
pub const ERRORS_MAX: usize = 100;
/// Characters of an unknown field's name that are told back.
pub const NAME_TOLD_MAX: usize = 64;
/// Most copies one movement of stock may speak of: far beyond a warehouse, far below an overflow.
pub const STOCK_MOVE_MAX: i64 = 1_000_000;
/// Largest count a rule may speak of: copies, sets, uses. Exact in every reader of JSON.
pub const COUNT_MAX: u32 = 1_000_000_000;
/// Priority of a promotion either way: more than any list a person keeps, and far from the ends of an integer.
pub const PRIORITY_MAX: i64 = 1_000_000;
/// Days around a birthday: it is at most half a year away.
pub const BIRTHDAY_DAYS_MAX: u32 = 183;
