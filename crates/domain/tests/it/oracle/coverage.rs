//! What occurred how often, so that the comparison cannot silently pass over a kind of rule.

use super::generate::Scenario;
use super::json::name;
use domain::money::MoneyError;
use domain::pricing::*;
use std::collections::BTreeMap;

/// All that has to occur. A name that is not here has to be added.
const EXPECTED: &str = "
    adjustment: sale promotion coupon shipping tax exemption
    applied: bundle_amount bundle_price bundle_rate buy_get each_amount each_price each_rate fixed gift percentage price
        shipping_amount shipping_price shipping_rate spend_amount spend_price spend_rate tier_amount tier_price tier_rate
    basis: discounted subtotal
    by: automatic code
    currency: EUR JPY KWD USD
    gift: added there
    goods: converted converted_gift none some too_large unavailable
    limited: budget cap
    not: below_copies below_minimum better_in_group condition_failed condition_unmet ended excluded exhausted given_twice inactive
        needs_customer no_shipping not_birthday not_first_order not_in_segment not_yet nothing_left nothing_matches off_hours
        other_currency out_of_stock stack_full unknown used_by_shopper
    parcels: one two
    settled: no yes
    shipping: amount digital flat free weight
    stacking: best_of combine exclusive
    tax: country postal region city exempt_inside exempt_on_top inside_line_down inside_line_half_even inside_line_half_up inside_total_down
        inside_total_half_even inside_total_half_up on_top_line_down on_top_line_half_even on_top_line_half_up on_top_total_down
        on_top_total_half_even on_top_total_half_up reduced
    use: by code orders spent uses
";

#[derive(Default)]
pub struct Coverage(BTreeMap<String, u64>);

impl Coverage {
    pub fn see(&mut self, scenario: &Scenario, quote: &Result<Quote, MoneyError>) {
        let Ok(quote) = quote else { return self.add("goods", "too_large") };
        self.goods(quote);
        self.shipping(scenario, quote);
        for adjustment in &quote.adjustments {
            self.add("adjustment", &name(&adjustment.kind));
            if let Some(promotion) = adjustment.promotion.as_ref().and_then(|id| scenario.rules.promotion(id)) {
                self.applied(promotion, adjustment, quote);
            }
            if let Reason::Tax { rate, .. } = adjustment.reason {
                self.taxed(scenario.rules.taxes().iter().filter(|t| t.code() == adjustment.code && t.rate == rate));
            }
            if let (Reason::Exempt { .. }, AdjustmentKind::Exemption) = (&adjustment.reason, adjustment.kind) {
                self.add("tax", if quote.tax_included { "exempt_inside" } else { "exempt_on_top" });
            }
        }
        for not in &quote.not_applied {
            self.add("not", &name(&not.why));
        }
        for used in &quote.uses {
            self.add("use", used.counter.to_string().split('/').next().expect("a kind"));
        }
    }

    fn add(&mut self, kind: &str, case: &str) {
        *self.0.entry(format!("{kind}: {case}")).or_default() += 1;
    }

    fn goods(&mut self, quote: &Quote) {
        self.add("currency", quote.currency.code());
        self.add("settled", if quote.settled { "yes" } else { "no" });
        self.add("goods", if quote.lines.is_empty() { "none" } else { "some" });
        for line in quote.lines.iter().filter(|l| l.converted_from.is_some()) {
            self.add("goods", if line.gift { "converted_gift" } else { "converted" });
        }
        for _ in &quote.unavailable {
            self.add("goods", "unavailable");
        }
    }

    fn shipping(&mut self, scenario: &Scenario, quote: &Quote) {
        for adjustment in &quote.adjustments {
            match adjustment.reason {
                Reason::NothingToShip => self.add("shipping", "digital"),
                Reason::ShippingFree { .. } => self.add("shipping", "free"),
                _ => {}
            }
        }
        let Some(option) = scenario.rules.shipping().iter().find(|o| Some(&o.id) == quote.shipping_option.as_ref()) else { return };
        self.add("shipping", &name(&option.scale));
        let parcels = quote.parcels().expect("in range").parcels.len();
        self.add("parcels", if option.per_parcel && parcels > 1 { "two" } else { "one" });
    }

    fn applied(&mut self, promotion: &Promotion, adjustment: &Adjustment, quote: &Quote) {
        let benefit = name(&adjustment.reason);
        match &adjustment.reason {
            Reason::Each { off, .. }
            | Reason::Tier { off, .. }
            | Reason::Spend { off, .. }
            | Reason::Bundle { off, .. }
            | Reason::Shipping { off, .. } => self.add("applied", &format!("{benefit}_{}", name(off))),
            _ => self.add("applied", &benefit),
        }
        if adjustment.reason == Reason::Gift {
            let added = quote.lines.iter().any(|l| l.gift && Some(l.item) == adjustment.item);
            self.add("gift", if added { "added" } else { "there" });
        }
        if let Some(minimum) = promotion.needs.minimum {
            self.add("basis", &name(&minimum.basis));
        }
        if let Some(limited) = &adjustment.limited {
            self.add("limited", &name(limited));
        }
        self.add("by", if promotion.trigger == Trigger::Automatic { "automatic" } else { "code" });
        self.add("stacking", &name(&promotion.stacking));
    }

    /// Where only one rate can be meant.
    fn taxed<'a>(&mut self, mut rates: impl Iterator<Item = &'a TaxRate>) {
        let (Some(rate), None) = (rates.next(), rates.next()) else { return };
        let place = &rate.place;
        for (named, by) in
            [(place.postal.is_some(), "postal"), (place.city.is_some(), "city"), (place.region.is_some(), "region"), (true, "country")]
        {
            if named {
                self.add("tax", by);
            }
        }
        if !rate.formats.is_empty() {
            self.add("tax", "reduced");
        }
        let inside = if rate.included { "inside" } else { "on_top" };
        self.add("tax", &format!("{inside}_{}_{}", name(&rate.level), name(&rate.rounding)));
    }

    /// Every count, by kind.
    pub fn print(&self) {
        let mut kind = "";
        for (name, count) in &self.0 {
            let (this, case) = name.split_once(": ").expect("two parts");
            let start = if this == kind { " ".to_owned() } else { format!("\n{this}: ") };
            print!("{start}{case} {count}");
            kind = this;
        }
        println!();
    }

    /// What should have occurred and did not, and what occurred and is not known here.
    pub fn wrong(&self) -> Vec<String> {
        let mut expected = Vec::new();
        let mut kind = "";
        for word in EXPECTED.split_whitespace() {
            match word.strip_suffix(':') {
                Some(next) => kind = next,
                None => expected.push(format!("{kind}: {word}")),
            }
        }
        let missing = expected.iter().filter(|e| !self.0.contains_key(*e)).map(|e| format!("{e} did not occur"));
        let unknown = self.0.keys().filter(|k| !expected.contains(k)).map(|k| format!("{k} is not expected"));
        missing.chain(unknown).collect()
    }
}
