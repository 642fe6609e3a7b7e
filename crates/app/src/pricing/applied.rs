use crate::ports::{CodeWrite, PriceChange, PricesSaved, RuleWrite};
use domain::ids::Version;
use domain::pricing::{Deed, Pricebook, RuleKey};
use std::sync::Arc;

/// A change of rules on a pricebook, as far as the rules alone tell whether it holds: what every store does.
#[derive(Debug)]
pub struct Applied {
    pub book: Pricebook,
    /// What goes into the audit.
    pub deeds: Vec<(RuleKey, Deed)>,
}

impl PriceChange {
    /// # Errors
    /// Another version than the expected one, or a code that two promotions would name.
    pub fn applied(&self, book: &Pricebook) -> Result<Applied, PricesSaved> {
        let (mut put, mut removed, mut deeds) = (Vec::new(), Vec::new(), Vec::new());
        for write in &self.rules {
            let key = write.key();
            let before = book.get(&key);
            if before.map_or(Version(0), |kept| kept.version) != write.expected() {
                return Err(PricesSaved::Conflict);
            }
            let before = before.map(|kept| Box::new(kept.rule.clone()));
            deeds.extend(match (write, before) {
                (RuleWrite::Put { kept, .. }, before) => {
                    put.push(Arc::clone(kept));
                    Some((key, Deed::Put { before, after: Box::new(kept.rule.clone()) }))
                }
                (RuleWrite::Delete { .. }, before) => {
                    removed.push(key.clone());
                    before.map(|before| (key, Deed::Deleted { before }))
                }
            });
        }
        deeds.extend(self.codes.as_ref().and_then(CodeWrite::beginning));
        let book = book.with(put, &removed);
        match book.code_named_twice() {
            Some(code) => Err(PricesSaved::CodeTaken(code.clone())),
            None => Ok(Applied { book, deeds }),
        }
    }

    /// Codes that the rules of this change name.
    pub fn named(&self) -> impl Iterator<Item = &domain::ids::CouponCode> {
        self.rules.iter().flat_map(|write| match write {
            RuleWrite::Put { kept, .. } => kept.rule.codes(),
            RuleWrite::Delete { .. } => &[],
        })
    }
}

impl RuleWrite {
    fn key(&self) -> RuleKey {
        match self {
            Self::Put { kept, .. } => kept.rule.key(),
            Self::Delete { key, .. } => key.clone(),
        }
    }

    fn expected(&self) -> Version {
        match self {
            Self::Put { expected, .. } | Self::Delete { expected, .. } => *expected,
        }
    }
}

impl CodeWrite {
    /// The line that a batch leaves with its first codes.
    fn beginning(&self) -> Option<(RuleKey, Deed)> {
        let deed = Deed::Issued { batch: self.batch.id, count: self.batch.count };
        (self.expected == 0).then(|| (RuleKey::promotion(&self.batch.promotion), deed))
    }
}
