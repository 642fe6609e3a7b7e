use super::RuleBody;
use super::codes::batch_id;
use crate::order::ActorName;
use crate::scalar::{At, Show};
use domain::pricing::{Audited, Deed};
use serde::Serialize;

/// A line of the audit: what was done to a rule, by whom and why.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeBody<'a> {
    seq: u64,
    kind: &'static str,
    id: &'a str,
    action: &'static str,
    at: At,
    actor: Show<ActorName<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<RuleBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<RuleBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch_id: Option<String>,
    /// Codes that were issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u32>,
}

impl<'a> From<&'a Audited> for ChangeBody<'a> {
    fn from(line: &'a Audited) -> Self {
        let (action, before, after, issued) = match &line.deed {
            Deed::Put { before: None, after } => ("created", None, Some(after), None),
            Deed::Put { before: Some(before), after } => ("changed", Some(before), Some(after), None),
            Deed::Deleted { before } => ("deleted", Some(before), None, None),
            Deed::Issued { batch, count } => ("codes_issued", None, None, Some((*batch, *count))),
        };
        Self {
            seq: line.sequence,
            kind: line.key.kind.as_str(),
            id: line.key.id.as_str(),
            action,
            at: At(line.at),
            actor: Show(ActorName(&line.why.actor)),
            reason: line.why.reason.as_ref().map(|r| r.as_str()),
            before: before.map(|rule| (&**rule).into()),
            after: after.map(|rule| (&**rule).into()),
            batch_id: issued.map(|(batch, _)| batch_id(batch)),
            count: issued.map(|(_, count)| count),
        }
    }
}
