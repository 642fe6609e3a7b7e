//! How a move of stock is kept: what kind it is, and how many it is about.

use domain::stock::StockChange;

pub fn encode_stock_change(change: StockChange) -> (&'static str, i64) {
    match change {
        StockChange::Reserve(n) => ("reserve", n.into()),
        StockChange::Release(n) => ("release", n.into()),
        StockChange::Consume(n) => ("consume", n.into()),
        StockChange::Return(n) => ("return", n.into()),
        StockChange::Receive(n) => ("receive", n.into()),
        StockChange::Count(n) => ("count", n.into()),
    }
}

/// None when no change is kept like this.
pub fn decode_stock_change(kind: &str, n: i64) -> Option<StockChange> {
    let count = u32::try_from(n);
    match kind {
        "reserve" => count.ok().map(StockChange::Reserve),
        "release" => count.ok().map(StockChange::Release),
        "consume" => count.ok().map(StockChange::Consume),
        "return" => count.ok().map(StockChange::Return),
        "receive" => i32::try_from(n).ok().map(StockChange::Receive),
        "count" => count.ok().map(StockChange::Count),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_read_as_it_was_kept() {
        for (change, kept) in [
            (StockChange::Reserve(2), ("reserve", 2)),
            (StockChange::Release(2), ("release", 2)),
            (StockChange::Consume(2), ("consume", 2)),
            (StockChange::Return(2), ("return", 2)),
            (StockChange::Receive(-3), ("receive", -3)),
            (StockChange::Count(u32::MAX), ("count", i64::from(u32::MAX))),
        ] {
            assert_eq!(encode_stock_change(change), kept);
            assert_eq!(decode_stock_change(kept.0, kept.1), Some(change));
        }
        assert_eq!((decode_stock_change("reserve", -1), decode_stock_change("lend", 1)), (None, None));
    }
}
