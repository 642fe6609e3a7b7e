use crate::read::Object;
use crate::scalar::{self, At};
use app::{CodeView, Issue};
use domain::limits::REASON_MAX;
use domain::pricing::Batch;
use domain::text::Text;
use serde::Serialize;
use std::fmt::Write;

/// `POST /pricing/promotions/{id}/codes`, and why.
pub fn issue(o: &mut Object<'_, '_>) -> Option<(Issue, Option<Text<REASON_MAX>>)> {
    let count = o.required("count", scalar::count);
    let prefix = o.optional("prefix", scalar::coupon_code);
    let uses_max = o.optional("usesMax", scalar::count);
    let reason = o.optional("reason", scalar::line);
    Some((Issue { count: count?, prefix, uses_max }, reason))
}

/// Codes that were issued together.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchBody<'a> {
    batch_id: String,
    promotion_id: &'a str,
    count: u32,
}

impl<'a> From<&'a Batch> for BatchBody<'a> {
    fn from(batch: &'a Batch) -> Self {
        Self { batch_id: batch_id(batch.id), promotion_id: batch.promotion.as_str(), count: batch.count }
    }
}

pub(super) fn batch_id(id: u128) -> String {
    format!("{id:032x}")
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CodeBody<'a> {
    code: &'a str,
    batch_id: String,
    /// Orders that used it.
    used: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    uses_max: Option<u32>,
    issued_at: At,
}

impl<'a> From<&'a CodeView> for CodeBody<'a> {
    fn from(view: &'a CodeView) -> Self {
        let issued = &view.issued;
        Self {
            code: issued.code.as_str(),
            batch_id: batch_id(issued.batch),
            used: view.used,
            uses_max: issued.uses_max,
            issued_at: At(issued.at),
        }
    }
}

/// What a file of codes begins with.
pub const CODES_HEAD: &str = "code,used,uses_max,batch_id,issued_at\r\n";

/// Rows of a file of codes (RFC 4180). Nothing in them has to be quoted: codes are letters, digits, dashes and underscores.
pub fn codes_csv(codes: &[CodeView]) -> String {
    let mut rows = String::with_capacity(codes.len() * 100);
    for CodeView { issued, used } in codes {
        let max = issued.uses_max.map(|max| max.to_string()).unwrap_or_default();
        let row = write!(rows, "{},{used},{max},{},{}\r\n", issued.code, batch_id(issued.batch), At(issued.at));
        row.expect("invariant: a string takes all that is written to it");
    }
    rows
}
